"""`obeaver models`: what is in the store, and what can be had by name."""

import argparse
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from obeaver.cli.table import Column, screen_width, table_lines
from obeaver.config import load_settings

if TYPE_CHECKING:
    from obeaver.models.catalog import CatalogEntry
    from obeaver.models.inventory import Installed

_INSTALLED: Final = (
    Column("NAME"),
    Column("KIND", rank=1),
    Column("WEIGHTS", rank=3),
    Column("SIZE", right=True),
    Column("CONTEXT", right=True, rank=2),
    Column("LICENCE", rank=4, can_cut=True),
    Column("", rank=5, can_cut=True),
)
_AVAILABLE: Final = (
    Column("NAME"),
    Column("KIND", rank=1),
    Column("DOWNLOAD", right=True),
    Column("MEMORY", right=True, rank=3),
    Column("FITS", rank=1),
    Column("CONTEXT", right=True, rank=2),
    Column("LICENCE", rank=4, can_cut=True),
    Column("DESCRIPTION", rank=5, can_cut=True),
)


class _Memory(NamedTuple):
    """Of this machine, or of its container."""

    free_bytes: int
    total_bytes: int


def run_models(arguments: argparse.Namespace) -> int:
    """List them.

    Raises:
        CommandError: Wrong settings.
    """
    from obeaver.app.memory import available_bytes, machine_bytes
    from obeaver.models.catalog import load_catalog
    from obeaver.models.inventory import available_models, installed_models
    from obeaver.models.store import Store

    room = _Memory(available_bytes(), machine_bytes())
    store, catalog = Store(load_settings(vars(arguments), os.environ).home), load_catalog()
    installed, available = installed_models(store, catalog), available_models(store, catalog)
    if arguments.json:
        listed = {
            "home": str(store.home),
            "installed": [installed_json(model) for model in installed],
            "memory": {"total_bytes": room.total_bytes, "free_bytes": room.free_bytes},
            "available": [{**entry_json(entry), **_fits_json(entry, room)} for entry in available],
        }
        print(json.dumps(listed, indent=2))
        return 0
    width = screen_width()
    if installed:
        print(f"installed in {store.home}:")
        print(*table_lines(_INSTALLED, [_installed_row(model) for model in installed], width), sep="\n")
    else:
        print(f"nothing is installed in {store.home}")
    if available:
        print("\navailable (obeaver pull NAME; serve and run fetch by themselves):")
        print(*table_lines(_AVAILABLE, [_available_row(entry, room) for entry in available], width), sep="\n")
        print(f"\nmemory: {size_text(room.total_bytes)} here, {size_text(room.free_bytes)} of it free")
    return 0


def installed_json(model: "Installed") -> dict[str, Any]:
    """A stored model for programs."""
    summary = model.summary
    return {
        "name": model.name,
        "kind": summary and summary.kind,
        "architecture": summary and summary.architecture,
        "weights": summary and summary.weights,
        "kv": summary and summary.kv,
        "size_bytes": summary and summary.size_bytes,
        "context_length": summary and summary.context_length,
        "provider": summary and summary.provider,
        "licence": model.licence,
        "folder": str(model.folder),
        "problem": model.problem,
        "in_use_by": list(model.users),
    }


def entry_json(entry: "CatalogEntry") -> dict[str, Any]:
    """A catalogue entry for programs."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "description": entry.description,
        "architecture": entry.architecture,
        "parameters": entry.parameters,
        "context_length": entry.context,
        "licence": entry.licence,
        "quantisation": entry.quantisation,
        "size_bytes": entry.size_bytes,
        "memory_bytes": entry.memory_bytes,
        "approximate": entry.approximate,
        "sources": list(entry.addresses),
    }


def _fits_json(entry: "CatalogEntry", room: _Memory) -> dict[str, bool]:
    """As `/api/models/catalog` says it."""
    return {
        "fits": entry.memory_bytes <= room.total_bytes,
        "fits_now": entry.memory_bytes <= room.free_bytes,
    }


def entry_size_text(entry: "CatalogEntry") -> str:
    """What there is to fetch; `~` before what was not verified."""
    return f"{'~' if entry.approximate else ''}{size_text(entry.size_bytes)}"


def size_text(num_bytes: int) -> str:
    """`98 MB`, `4.4 GB`: three digits are enough to choose by."""
    if num_bytes >= 1e9:
        return f"{num_bytes / 1e9:.1f} GB"
    return f"{num_bytes / 1e6:.0f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.1f} kB"


def _installed_row(model: "Installed") -> Sequence[str]:
    summary = model.summary
    if summary is None:
        return (model.name, "damaged", "", "", "", "", f"{model.problem}: obeaver rm {model.name}")
    return (
        model.name,
        summary.kind,
        summary.weights or "",
        size_text(summary.size_bytes),
        str(summary.context_length),
        model.licence or "",
        f"in use by process {', '.join(map(str, model.users))}" if model.users else "",
    )


def _fits_text(entry: "CatalogEntry", room: _Memory) -> str:
    if entry.memory_bytes <= room.free_bytes:
        return "yes"
    return "not now" if entry.memory_bytes <= room.total_bytes else "no"


def _available_row(entry: "CatalogEntry", room: _Memory) -> Sequence[str]:
    return (
        entry.name,
        entry.kind,
        entry_size_text(entry),
        size_text(entry.memory_bytes),
        _fits_text(entry, room),
        str(entry.context),
        entry.licence,
        entry.description,
    )
