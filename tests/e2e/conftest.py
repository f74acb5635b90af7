"""One server with the default model for all tests that only talk to it, and the model itself to compare with."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from support.reference_model import ReferenceModel
from support.server_process import ServerProcess, serve


@pytest.fixture(scope="session")
def server(default_model: Path) -> Iterator[ServerProcess]:
    """`obeaver serve` as users start it."""
    assert default_model.is_dir()
    with serve("--offline") as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    """The official client; it does not try again by itself."""
    with openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def reference(default_model: Path) -> Iterator[ReferenceModel]:
    """The same model in this process."""
    model = ReferenceModel(default_model)
    yield model
    model.close()
