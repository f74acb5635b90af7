"""`obeaver pull` and `obeaver import`: models into the store."""

import argparse
import os
from pathlib import Path

from obeaver.config import load_settings


def run_pull(arguments: argparse.Namespace) -> int:
    """Fetch a model by name or address; nothing to do when the store has it.

    Raises:
        CommandError: Unknown name, failed download, no space.
    """
    from obeaver.models.progress import TerminalProgress
    from obeaver.models.pull import ensure_model
    from obeaver.models.store import Store

    settings = load_settings(vars(arguments), os.environ)
    stored = ensure_model(
        arguments.model,
        Store(settings.home),
        progress=TerminalProgress(),
        name=arguments.name,
        weights=arguments.weights,
        kv=arguments.kv,
        offline=settings.offline,
    )
    print(stored.folder)
    return 0


def run_import(arguments: argparse.Namespace) -> int:
    """Import a GGUF file under a name of its own.

    Raises:
        CommandError: The file is missing, broken, or of a kind that cannot be imported.
    """
    from obeaver.models.progress import TerminalProgress
    from obeaver.models.pull import import_file
    from obeaver.models.store import Store

    settings = load_settings(vars(arguments), os.environ)
    stored = import_file(
        Path(arguments.file).expanduser(),
        Store(settings.home),
        name=arguments.name,
        weights=arguments.weights,
        kv=arguments.kv,
        progress=TerminalProgress(),
    )
    print(stored.folder)
    return 0
