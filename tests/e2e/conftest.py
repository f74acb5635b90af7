"""One server with the default model for all tests that only talk to it, and the model itself to compare with."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from support.reference_model import ReferenceModel
from support.restartable import Restartable
from support.server_process import ServerProcess, serve

from obeaver.models.progress import SilentProgress
from obeaver.models.pull import import_file
from obeaver.models.store import Store


@pytest.fixture(scope="session")
def server(default_model: Path) -> Iterator[ServerProcess]:
    """`obeaver serve` as users start it."""
    assert default_model.is_dir()
    # Tests write nothing of theirs into the user's own store.
    with serve("--offline", "--no-store-responses") as running:
        yield running


KEYS = ("ann", "bob")
"""Who may call the server that stores responses."""


@pytest.fixture(scope="session")
def storing(default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restartable]:
    """`obeaver serve` with stored responses, for two people; a test that ends it starts it again."""
    keys = [word for key in KEYS for word in ("--api-key", key)]
    server = Restartable(default_model, tmp_path_factory.mktemp("storing") / "home", *keys)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def embedder(default_embedding_model: Path) -> Iterator[ServerProcess]:
    """`obeaver serve-embed` as users start it."""
    assert default_embedding_model.is_dir()
    with serve("--offline", command="serve-embed") as running:
        yield running


INT4_NAME = "smollm2-135m-int4"


@pytest.fixture(scope="session")
def int4_home(default_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the tests' own with one model: the default one's source in int4, under the name that ends so."""
    home = tmp_path_factory.mktemp("int4") / "home"
    import_file(default_gguf, Store(home), name=INT4_NAME, weights="int4", progress=SilentProgress())
    return home


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
