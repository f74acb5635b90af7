"""What every command's parser is made of."""

import argparse
import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from obeaver.config import Option, options

STORE_OPTIONS = frozenset({"home", "offline"})


def later(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """A function of a module that is imported when it is called: `obeaver --help` loads no command."""

    def run(arguments: argparse.Namespace) -> int:
        return int(getattr(importlib.import_module(module), function)(arguments))

    return run


class IntermixedParser(argparse.ArgumentParser):
    """Takes words before, between and after flags: `obeaver run MODEL --seed 1 Why?`."""

    _intermixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The method of the library's that knows how calls this one again, twice."""
        if self._intermixing:
            return super().parse_known_args(args, namespace)
        self._intermixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixing = False


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str, examples: Sequence[str]
) -> argparse.ArgumentParser:
    """Add one command.

    Args:
        commands: What argparse gives for sub-commands.
        name: What people type.
        run: From its arguments to an exit status.
        summary: One phrase, in lower case.
        examples: Whole lines.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_options(parser: argparse.ArgumentParser, names: frozenset[str], **defaults: Any) -> None:
    """Add options of the table by name; `defaults` are those of this command where they differ."""
    for row in options():
        if row.name in names:
            _add_option(parser, replace(row, default=defaults.get(row.name, row.default)))


def _add_option(parser: argparse.ArgumentParser, row: Option) -> None:
    shown = "" if row.default is False or row.default in ((), "") else f" (default: {row.default})"
    text = (row.help + shown).replace("%", "%%")
    if row.kind is bool:
        parser.add_argument(row.flag, dest=row.name, action="store_true", default=None, help=text)
        return
    parser.add_argument(
        row.flag,
        dest=row.name,
        type=_typed(row),
        action="append" if row.repeated else "store",
        metavar=row.metavar,
        help=text + (f": {', '.join(row.choices)}" if row.choices else ""),
    )


def _typed(row: Option) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return row.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def not_empty(text: str) -> str:
    """The type of words that name a file or a folder: an empty one, as of an unset variable, is the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text
