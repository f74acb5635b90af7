"""Schema documents as they stand beside the endpoints that take them, without anything that takes time to import.

A document is `NAME.json` in one of the rooms of `api/`, whichever: no two have the same name.

What several requests share stands in one file, and is referred to as `FILE.json#/$defs/NAME`. Such a reference is
replaced by what it names when a document is loaded, so that readers meet references within the document only.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

Document = dict[str, Any]


def schema_document(name: str) -> Document:
    """The document NAME, complete in itself."""
    document: Document = with_files_merged(_read(f"{name}.json"), _read)
    return document


def answer_schemas() -> Mapping[str, Document]:
    """The schemas of all answers, by name: the definitions of every document whose name ends with `answers`."""
    names = [name for name in schema_names() if name.endswith("answers")]
    return {key: schema for name in names for key, schema in schema_document(name)["$defs"].items()}


def with_files_merged(schema: Any, read: Callable[[str], Document]) -> Any:
    """A copy with every `FILE.json#/$defs/NAME` replaced by what it names; references within the document stay.

    Args:
        schema: A document, or a part of one.
        read: The document in a file, by the file's name. What is referred to there must not refer to anything itself.
    """
    if isinstance(schema, list):
        return [with_files_merged(item, read) for item in schema]
    if not isinstance(schema, dict):
        return schema
    file, found, name = str(schema.get("$ref", "")).partition(".json#/$defs/")
    if found:
        return read(f"{file}.json")["$defs"][name]
    return {key: with_files_merged(value, read) for key, value in schema.items()}


def schema_names() -> list[str]:
    """Names of all documents."""
    return sorted(_places())


def _read(file_name: str) -> Document:
    document: Document = json.loads(_places()[file_name.removesuffix(".json")].read_text("utf-8"))
    return document


@cache
def _places() -> dict[str, Traversable]:
    rooms = (room for room in files("obeaver.api").iterdir() if room.is_dir())
    found = (file for room in rooms for file in room.iterdir() if file.name.endswith(".json"))
    return {file.name.removesuffix(".json"): file for file in found}
