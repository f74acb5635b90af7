"""Healthy servers with the default models, and a proxy that breaks their answers as the label of a request says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.server_process import serve

from conformance.mutants.hook import MutantHook
from conformance.proxy import proxy
from conformance.targets import Targets


@pytest.fixture(scope="session")
def healthy(default_model: Path, default_embedding_model: Path) -> Iterator[tuple[str, str]]:
    """Addresses of `obeaver serve` and `obeaver serve-embed`."""
    assert default_model.is_dir()
    assert default_embedding_model.is_dir()
    with serve("--offline") as chat, serve("--offline", command="serve-embed") as embeddings:
        yield chat.url, embeddings.url


@pytest.fixture(scope="session")
def mutants_url(healthy: tuple[str, str]) -> Iterator[str]:
    """The proxy, without a path."""
    with proxy(MutantHook(*healthy)) as url:
        yield url


@pytest.fixture(scope="session")
def healthy_targets(healthy: tuple[str, str]) -> Targets:
    """What the suite knows of the healthy servers."""
    chat, embeddings = healthy
    return Targets.of(chat + "/v1", embeddings_url=embeddings + "/v1", guard_url=None, api_key="unused")
