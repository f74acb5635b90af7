"""The command line: `obeaver COMMAND …`. Parsing is in `parser`, one module for each family of commands beside it."""

import os
import sys
from collections.abc import Sequence

from obeaver.errors import CommandError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Words after the program's name; `sys.argv` if not given.

    Returns:
        Exit status: 0 done, 1 failed with one line on stderr, 130 interrupted. (argparse exits with 2 for wrong usage.)
    """
    # Both runtimes read this when they are first loaded, so it stands before any of their imports.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        from obeaver.cli.parser import build_parser

        arguments = build_parser().parse_args(argv)
        return int(arguments.run(arguments))
    except CommandError as error:
        print(f"obeaver: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("obeaver: interrupted", file=sys.stderr)
        return 130
