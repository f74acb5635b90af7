"""`obeaver convert`: a Hugging Face checkpoint becomes a model of the store."""

import argparse
import os

from obeaver.config import load_settings


def run_convert(arguments: argparse.Namespace) -> int:
    """Convert, and print the model's folder.

    Raises:
        CommandError: What is asked for cannot be made, its packages are missing, or the builder failed.
    """
    from obeaver.models.convert import Target, convert
    from obeaver.models.convert_source import find_checkpoint
    from obeaver.models.progress import TerminalProgress
    from obeaver.models.store import Store

    settings = load_settings(vars(arguments), os.environ)
    target = Target(arguments.precision, arguments.execution_provider, arguments.name)
    target.check()  # before gigabytes are fetched or read
    store, progress = Store(settings.home), TerminalProgress()
    checkpoint = find_checkpoint(arguments.source, store, progress=progress, offline=settings.offline)
    print(convert(checkpoint, target, store, progress=progress).folder)
    return 0
