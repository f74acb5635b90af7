"""The command line: `obeaver COMMAND …`. Parsing is in `parser`, one module for each family of commands beside it."""

import os
import sys
from collections.abc import Sequence

from obeaver.errors import CommandError

READER_LEFT = 141
"""Exit status when nobody reads the output any longer: what a shell reports of a program that SIGPIPE ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Words after the program's name; `sys.argv` if not given.

    Returns:
        Exit status: 0 done, 1 failed with one line on stderr, 130 interrupted, 141 when the reader of a pipe has left.
        (argparse exits with 2 for wrong usage.)
    """
    # Both runtimes read this when they are first loaded, so it stands before any of their imports.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        from obeaver.cli.parser import build_parser

        arguments = build_parser().parse_args(argv)
        status = int(arguments.run(arguments))
        sys.stdout.flush()  # here, where a reader that has left can still be told from a failure
        return status
    except CommandError as error:
        print(f"obeaver: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        from obeaver.cli.terminal import discard

        discard(sys.stdout)
        return READER_LEFT
    except KeyboardInterrupt:
        print("obeaver: interrupted", file=sys.stderr)
        return 130
