"""Fixtures that every package's tests may use: the default model, as users have it."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from obeaver.models.store import Store, StoredModel

# Before any test imports a runtime.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# References in numpy multiply small matrices, for which a BLAS library's threads mostly wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# How long an example takes says how busy the machine is. All runs of CI see the same examples.
settings.register_profile("any machine", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("any machine")
# What a shell starts in the background ignores Ctrl-C, and so would each server that a test starts and stops so.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def default_store() -> "Store":
    """The user's own model store."""
    from obeaver.config import load_settings
    from obeaver.models.store import Store

    return Store(load_settings({}, os.environ).home)


@pytest.fixture(scope="session")
def default_entry(default_store: "Store") -> "StoredModel":
    """The default model; fetched and imported into the store where it is missing."""
    from obeaver.config import DEFAULT_MODEL
    from obeaver.models.progress import TerminalProgress
    from obeaver.models.pull import ensure_model

    return ensure_model(DEFAULT_MODEL, default_store, progress=TerminalProgress())


@pytest.fixture(scope="session")
def default_model(default_entry: "StoredModel") -> Path:
    """Folder of the default model."""
    return default_entry.folder


@pytest.fixture(scope="session")
def default_gguf(default_store: "Store", default_entry: "StoredModel") -> Path:
    """The GGUF file that the default model was imported from."""
    assert default_entry.recipe is not None
    path = default_store.sources.find(default_entry.recipe.source_sha256)
    assert path is not None, "the store keeps the source of each import"
    return path


@pytest.fixture(scope="session")
def default_embedding_model(default_store: "Store") -> Path:
    """Folder of the default embedding model; fetched and imported into the store where it is missing."""
    from obeaver.config import DEFAULT_EMBEDDING_MODEL
    from obeaver.models.progress import TerminalProgress
    from obeaver.models.pull import ensure_model

    return ensure_model(DEFAULT_EMBEDDING_MODEL, default_store, progress=TerminalProgress()).folder
