"""Flags for parameters of a chat request; what these mean and default to stands in its schema alone."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from obeaver.api.contract.schema_files import schema_document

_NAMES: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "max_tokens",
    "seed",
    "reasoning_effort",
)
_TYPES: Final[Mapping[str, type]] = {"integer": int, "number": float, "string": str}


def add_sampling_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--temperature` and its like. Their ranges are checked by the schema, when the command runs."""
    schema = schema_document("chat_completion")
    for name in _NAMES:
        row = schema["properties"][name]
        shown = f" (default: {row['default']})" if "default" in row else ""
        parser.add_argument(
            "--" + name.replace("_", "-"),
            type=_TYPES[row["type"]],
            choices=row.get("enum"),
            metavar="N" if "enum" not in row else None,
            help=(row["description"].partition(". ")[0].rstrip(".") + shown).replace("%", "%%"),
        )


def given_sampling(arguments: argparse.Namespace) -> dict[str, Any]:
    """The parameters that were given."""
    return {name: value for name in _NAMES if (value := getattr(arguments, name)) is not None}
