"""`obeaver init`: where the model store is."""

import argparse
import os
import sys
from pathlib import Path

from obeaver.config import load_settings
from obeaver.errors import StoreError
from obeaver.home import LOCK_NAME, HomeNote, note_folder, read_note, write_note


def run_init(arguments: argparse.Namespace) -> int:
    """Make the store, or move it, and remember where it is.

    Raises:
        CommandError: The folder cannot hold a store, somebody works with the store, or there is no room.
    """
    from obeaver.models.locks import Locks
    from obeaver.models.relocation import make_store, require_store_place

    def on_wait() -> None:
        _note("waiting for another process that moves the store")

    with Locks(note_folder()).hold(LOCK_NAME, on_wait=on_wait):
        note = read_note()
        source = _absolute(load_settings(vars(arguments), os.environ, home=note.home).home)
        target = _target(arguments.directory, source, note)
        if target == source or arguments.no_move:
            require_store_place(target)
            make_store(target)
        else:
            _move(source, target)
        write_note(HomeNote(target))
    if (forced := os.environ.get("OBEAVER_HOME")) and _absolute(Path(forced)) != target:
        _note(f"OBEAVER_HOME is set to {forced} and wins: unset it to use {target}")
    print(target)
    return 0


def _target(directory: str | None, source: Path, note: HomeNote) -> Path:
    """Where the store goes; what was interrupted is finished first."""
    asked = None if directory is None else _absolute(Path(directory))
    if note.moving_to is None:
        return asked or source
    if source != note.home or asked not in {None, note.moving_to}:
        raise StoreError(f"the move from {note.home} to {note.moving_to} was interrupted: obeaver init finishes it")
    return note.moving_to


def _move(source: Path, target: Path) -> None:
    from obeaver.models.progress import TerminalProgress
    from obeaver.models.relocation import make_store, move_store, require_movable

    if not source.is_dir():
        make_store(target)
        return
    require_movable(source, target)
    write_note(HomeNote(source, moving_to=target))
    num_models = move_store(source, target, progress=TerminalProgress())
    if num_models:
        _note(f"moved {num_models} {'model' if num_models == 1 else 'models'} from {source}")


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - links stay as a person wrote them


def _note(text: str) -> None:
    print(text, file=sys.stderr)
