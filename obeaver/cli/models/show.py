"""`obeaver show`: all that is known of one model, without loading it."""

import argparse
import json
import os
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from obeaver.cli.models.listing import entry_json, installed_json, size_text
from obeaver.cli.terminal import visible
from obeaver.config import load_settings
from obeaver.errors import ModelError

if TYPE_CHECKING:
    from obeaver.models.catalog import CatalogEntry
    from obeaver.models.inventory import Installed
    from obeaver.models.store import Store
    from obeaver.models.summary import ModelSummary

Rows = Iterator[tuple[str, str]]

_LABEL_WIDTH: Final = 14


def run_show(arguments: argparse.Namespace) -> int:
    """Tell of one model.

    Raises:
        CommandError: There is no such model, or its folder is broken.
    """
    from obeaver.models.catalog import load_catalog
    from obeaver.models.inventory import look_up
    from obeaver.models.names import unknown_model
    from obeaver.models.store import Store
    from obeaver.models.summary import summarise

    store, catalog = Store(load_settings(vars(arguments), os.environ).home), load_catalog()
    name, path = arguments.model.lower(), Path(arguments.model).expanduser()
    if name in store.names():
        model = look_up(store, name, catalog)
        if model.summary is None:
            raise ModelError(f"{name} is damaged ({model.problem}): obeaver rm {name}")
        _print_installed(model, model.summary, as_json=arguments.json)
    elif name in catalog:
        _print_entry(catalog[name], store, as_json=arguments.json)
    elif path.is_dir():
        summary = summarise(path)
        _print(summary.name, _folder_rows(summary), summary, {"installed": False, **summary.to_json()}, arguments.json)
    elif path.is_file():
        raise ModelError(f"{path} is a file: show tells of models; obeaver import {path} makes one of a GGUF file")
    else:
        raise ModelError(unknown_model(arguments.model, {*catalog, *store.names()}))
    return 0


def _print_installed(model: "Installed", summary: "ModelSummary", *, as_json: bool) -> None:
    described = {
        "description": model.entry and model.entry.description,
        "origin": model.origin and asdict(model.origin),
    }
    data = {"installed": True, **summary.to_json(), **installed_json(model), **described}
    rows: Rows = iter([*_installed_rows(model), *_folder_rows(summary, licence=model.licence)])
    _print(model.name, rows, summary, data, as_json)


def _print(title: str, rows: Rows, summary: "ModelSummary", data: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(data, indent=2))
        return
    _print_rows(title, rows)
    if summary.chat_template is not None:
        print("  chat template")
        print(textwrap.indent(visible(summary.chat_template), "    "))


def _print_entry(entry: "CatalogEntry", store: "Store", *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"installed": False, **entry_json(entry)}, indent=2))
        return
    _print_rows(entry.name, _entry_rows(entry, store))


def _print_rows(title: str, rows: Rows) -> None:
    print(title)
    for label, text in rows:
        print(f"  {label:<{_LABEL_WIDTH}}{visible(text)}")


def _entry_rows(entry: "CatalogEntry", store: "Store") -> Rows:
    yield "", entry.description
    yield "installed", f"no; obeaver pull {entry.name} fetches it into {store.home}"
    yield "kind", f"{entry.kind} ({entry.architecture})"
    about = "about " if entry.approximate else ""
    yield "parameters", f"{about}{entry.parameters:,}"
    yield "context", f"{entry.context:,} tokens"
    yield "download", f"{about}{size_text(entry.size_bytes)}, {entry.quantisation}"
    yield "import", f"weights {entry.weights}, KV cache {entry.kv}" if entry.weights else "none: it is served as it is"
    yield "memory", f"{about}{size_text(entry.memory_bytes)} recommended"
    yield "licence", entry.licence
    for address in entry.addresses:
        yield "from", address


def _installed_rows(model: "Installed") -> Rows:
    if model.entry is not None:
        yield "", model.entry.description
    if model.origin is not None:
        yield "from", model.origin.address
    if model.users:
        yield "in use by", f"process {', '.join(map(str, model.users))}"


def _folder_rows(summary: "ModelSummary", *, licence: str | None = None) -> Rows:
    yield "kind", f"{summary.kind} ({summary.architecture})"
    yield "context", f"{summary.context_length:,} tokens"
    yield "weights", summary.weights or "not told by the folder"
    if summary.kind == "chat":
        yield "KV cache", summary.kv or "not told by the folder"
        yield "images", "yes" if summary.vision else "no"
        yield "tool calls", summary.tool_dialect or "its template knows none"
        yield "thoughts", " … ".join(summary.think_markers) if summary.think_markers else "none"
    if summary.pooling:
        yield "pooling", ", ".join(summary.pooling)
    yield "provider", summary.provider
    yield "size", size_text(summary.size_bytes)
    yield "licence", licence or summary.licence or "not told by the folder"
    if summary.source:
        yield "source", _source_text(summary.source)
    if summary.fidelity:
        yield "fidelity", _fidelity_text(summary.fidelity)
    elif summary.source and summary.source.get("kind") == "gguf" and summary.weights != "fp32":
        yield "fidelity", f"not measured; obeaver pull {summary.folder.name} --measure does it"
    yield "folder", str(summary.folder)


def _source_text(source: Mapping[str, Any]) -> str:
    parts = [str(source.get(key)) for key in ("kind", "file", "place", "builder") if source.get(key)]
    types = source.get("tensor_types")
    if isinstance(types, dict):
        parts.append("(" + ", ".join(f"{number} × {kind}" for kind, number in types.items()) + ")")
    return " ".join(parts)


def _fidelity_text(fidelity: Mapping[str, Any]) -> str:
    known = {
        "perplexity": "perplexity {:.2f}",
        "reference_perplexity": "the source's {:.2f}",
        "mean_kl": "mean KL {:.4f}",
        "same_top1": "same likeliest token at {:.1%}",
        "num_tokens": "over {:,} tokens",
    }
    told = [text.format(fidelity[key]) for key, text in known.items() if isinstance(fidelity.get(key), int | float)]
    return ", ".join(told)
