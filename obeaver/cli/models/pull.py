"""`obeaver pull` and `obeaver import`: models into the store."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from obeaver.config import load_settings
from obeaver.errors import CommandError

if TYPE_CHECKING:
    from obeaver.models.progress import Progress
    from obeaver.models.store import StoredModel

MEASURED_BYTES: Final = 500_000_000
"""Files below this size are measured by `obeaver import`: that takes some ten seconds at most."""


def run_pull(arguments: argparse.Namespace) -> int:
    """Fetch a model by name or address; nothing to do when the store has it.

    Raises:
        CommandError: Unknown name, failed download, no space.
    """
    from obeaver.models.progress import TerminalProgress
    from obeaver.models.progress_lines import LineProgress, write_line

    if not arguments.json:
        print(_pulled(arguments, TerminalProgress()).folder)
        return 0
    try:
        stored = _pulled(arguments, LineProgress(sys.stdout))
    except CommandError as error:
        write_line(sys.stdout, {"error": str(error)})
        raise
    write_line(sys.stdout, {"model": stored.name, "folder": str(stored.folder)})
    return 0


def _pulled(arguments: argparse.Namespace, progress: "Progress") -> "StoredModel":
    from obeaver.models.pull import ensure_model
    from obeaver.models.store import Store

    settings = load_settings(vars(arguments), os.environ)
    return ensure_model(
        arguments.model,
        Store(settings.home),
        progress=progress,
        name=arguments.name,
        weights=arguments.weights,
        kv=arguments.kv,
        context=arguments.context,
        measure=bool(arguments.measure),
        offline=settings.offline,
    )


def run_import(arguments: argparse.Namespace) -> int:
    """Import a GGUF file under a name of its own.

    Raises:
        CommandError: The file is missing, broken, or of a kind that cannot be imported.
    """
    from obeaver.models.progress import TerminalProgress
    from obeaver.models.pull import import_file
    from obeaver.models.store import Store

    settings = load_settings(vars(arguments), os.environ)
    file = Path(arguments.file).expanduser()
    stored = import_file(
        file,
        Store(settings.home),
        name=arguments.name,
        weights=arguments.weights,
        kv=arguments.kv,
        context=arguments.context,
        measure=_takes_seconds(file) if arguments.measure is None else arguments.measure,
        progress=TerminalProgress(),
    )
    print(stored.folder)
    return 0


def _takes_seconds(file: Path) -> bool:
    """Whether a file is small enough to be measured by whoever imports it, without being asked."""
    return file.is_file() and file.stat().st_size < MEASURED_BYTES
