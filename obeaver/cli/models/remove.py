"""`obeaver rm`: models out of the store."""

import argparse
import functools
import os
import sys
from typing import TYPE_CHECKING

from obeaver.cli.models.listing import size_text
from obeaver.config import load_settings
from obeaver.errors import CommandError, StoreError

if TYPE_CHECKING:
    from obeaver.models.store import Store


def run_rm(arguments: argparse.Namespace) -> int:
    """Remove them; all names are known before the first goes.

    Raises:
        CommandError: An unknown name, a model in use, nobody to ask.
    """
    from obeaver.models.store import Store

    store = Store(load_settings(vars(arguments), os.environ).home)
    names = [_known(store, name) for name in dict.fromkeys(arguments.models)]
    if not arguments.force:
        for name in names:
            _require_unused(store, name)
    if not (arguments.yes or _agreed(names)):
        print("nothing was removed", file=sys.stderr)
        return 1
    for name in names:
        before = _used_bytes(store)
        waiting = f"waiting for another process that works on {name}"
        store.remove(name, force=arguments.force, on_wait=functools.partial(_note, waiting))
        print(f"removed {name}: {size_text(max(before - _used_bytes(store), 0))} freed")
    return 0


def _known(store: "Store", name: str) -> str:
    from obeaver.models.names import close_names

    if name.lower() in store.names():
        return name.lower()
    close = close_names(name, store.names())
    hint = f"did you mean {close[0]}?" if close else "obeaver models lists what is there"
    raise StoreError(f"there is no model named {name!r} in {store.home}: {hint}")


def _require_unused(store: "Store", name: str) -> None:
    if users := store.users(name):
        told = ", ".join(map(str, users))
        raise StoreError(f"{name} is in use by process {told}: stop it first, or give --force")


def _agreed(names: list[str]) -> bool:
    if not sys.stdin.isatty():
        raise CommandError(f"nobody is there to be asked whether to remove {', '.join(names)}: give --yes")
    _note(f"remove {', '.join(names)}? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _used_bytes(store: "Store") -> int:
    """Of models and their sources."""
    places = (store.home / "models", store.home / "sources")
    return sum(path.stat().st_size for place in places for path in place.rglob("*") if path.is_file())


def _note(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)
