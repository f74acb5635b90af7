"""Processes that get the same model from a stand-in hub, killed, at once, or while another removes it."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from support.disk import bytes_below
from support.hub_server import HubServer, Repo
from support.package_index import gguf_bytes

from obeaver.models.record import Damaged
from obeaver.models.store import Store

TESTS = Path(__file__).parent.parent
EXPORT = TESTS / "data" / "builder_exports" / "llama_int4"
GGUF = gguf_bytes(1_000_000)
ASKED = {"a GGUF file": "hf:Org/Tiny-GGUF", "a folder": "hf:Org/Tiny-ONNX", "a URL": ""}
NAMES = {"a GGUF file": "tiny", "a folder": "tiny-onnx", "a URL": "tiny"}


@pytest.fixture
def served(hub: HubServer) -> HubServer:
    hub.repos["Org/Tiny-GGUF"] = Repo({"tiny.gguf": GGUF})
    hub.repos["Org/Tiny-ONNX"] = Repo({path.name: path.read_bytes() for path in EXPORT.iterdir()})
    hub.web["tiny.gguf"] = GGUF
    return hub


def address(hub: HubServer, kind: str) -> str:
    return ASKED[kind] or f"{hub.url}/web/tiny.gguf"


@contextmanager
def running(*command: str) -> Iterator["subprocess.Popen[str]"]:
    path = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def getting(
    home: Path, asked: str, *, pause_s: float = 0.0, name: str | None = None
) -> AbstractContextManager["subprocess.Popen[str]"]:
    return running("support.pull_process", str(home), "", str(pause_s), asked, *([name] if name else []))


def finish(home: Path, asked: str) -> str:
    with getting(home, asked) as process:
        _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return told


def wait_until(reached: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    pause = threading.Event()
    while not reached():
        assert process.poll() is None, process.stderr and process.stderr.read()
        pause.wait(0.005)


def kill(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def is_whole(home: Path, name: str) -> bool:
    """Whether the model is there; if it is, every byte of it is right."""
    store = Store(home)
    if name not in store.names():
        return False
    folder = store.check(name, deep=True).folder
    if name == "tiny-onnx":
        assert {path.name: path.read_bytes() for path in EXPORT.iterdir()} == {
            path.name: path.read_bytes() for path in folder.iterdir() if path.name != "store.json"
        }
    else:
        assert (folder / "model.onnx").read_bytes() == GGUF
    return True


def assert_nothing_left(home: Path) -> None:
    assert bytes_below(home / "models" / ".staging", "*") == 0
    assert bytes_below(home / "models" / ".removed", "*") == 0
    assert list((home / "downloads").iterdir()) == []


POINTS: dict[str, Callable[[Path], bool]] = {
    "in the download": lambda home: bytes_below(home / "downloads", "*.part") > 300_000,
    "when the source is there": lambda home: any(home.glob("sources/*.gguf")),
    "in the import": lambda home: bytes_below(home / "models" / ".staging", "*/model.onnx") > 0,
}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", ["a GGUF file", "a URL"])
def test_after_a_kill_the_next_process_goes_on_and_makes_a_whole_model(
    tmp_path: Path, served: HubServer, kind: str, point: str
) -> None:
    home, asked = tmp_path / "home", address(served, kind)
    served.bytes_per_s = 2_000_000
    with getting(home, asked, pause_s=1.0) as process:
        wait_until(lambda: POINTS[point](home), process)
        kill(process)
    assert Store(home).list() == []
    num_before = len(served.seen)
    served.bytes_per_s = None
    finish(home, asked)
    assert is_whole(home, "tiny")
    assert_nothing_left(home)
    if point == "in the download":
        [again] = [
            seen for seen in served.seen[num_before:] if "range" in seen.headers and "/resolve/" not in seen.path
        ]
        assert int(again.headers["range"].removeprefix("bytes=").rstrip("-")) > 250_000
    elif kind == "a GGUF file":  # its hash is known, so the kept source is found by it
        assert served.seen[num_before:] == served.gets("/api/")[-1:]


def test_a_killed_fetch_of_a_folder_goes_on_with_what_is_there(tmp_path: Path, served: HubServer) -> None:
    home, asked = tmp_path / "home", ASKED["a folder"]
    served.gate.clear()
    with getting(home, asked) as process:
        # Files that go out in one piece are whole when they are seen, and are never asked for from the middle.
        wait_until(lambda: bytes_below(home / "downloads", "*model.onnx.data.part") > 0, process)
        kill(process)
    assert Store(home).list() == []
    served.gate.set()
    finish(home, asked)
    assert is_whole(home, "tiny-onnx")
    assert_nothing_left(home)
    assert any("range" in seen.headers for seen in served.seen)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ASKED)
def test_kills_at_random_moments_never_leave_a_model_that_is_not_whole(
    tmp_path: Path, served: HubServer, kind: str
) -> None:
    home, chance, asked = tmp_path / "home", random.Random(20261), address(served, kind)
    served.bytes_per_s = 1_000_000
    for _ in range(8):
        with getting(home, asked, pause_s=0.1) as process:
            threading.Event().wait(chance.uniform(0.2, 3.0))
            kill(process)
        if is_whole(home, NAMES[kind]):
            Store(home).remove(NAMES[kind])
    served.bytes_per_s = None
    finish(home, asked)
    assert is_whole(home, NAMES[kind])
    assert_nothing_left(home)


@pytest.mark.parametrize("kind", ASKED)
def test_two_pulls_and_removals_at_once_disturb_nobody(tmp_path: Path, served: HubServer, kind: str) -> None:
    """Real processes: two that pull, and one `obeaver rm` after the other until both have their model."""
    home, asked, name = tmp_path / "home", address(served, kind), NAMES[kind]
    served.bytes_per_s = 5_000_000
    num_removed = 0
    with getting(home, asked, pause_s=0.2) as first, getting(home, asked, pause_s=0.2) as second:
        while first.poll() is None or second.poll() is None or num_removed == 0:
            with running("obeaver", "rm", name, "--yes", "--home", str(home)) as removal:
                while removal.poll() is None:
                    see_that_it_is_whole(home, name)
                _, told = removal.communicate()
            assert removal.returncode in (0, 1), told
            assert removal.returncode == 0 or "there is no model" in told, told
            num_removed += removal.returncode == 0
            if first.poll() is not None and second.poll() is not None and name not in Store(home).names():
                break
        for process in (first, second):
            out, told = process.communicate(timeout=300)
            assert process.returncode == 0, told
            assert out.strip() == str(home / "models" / name)
    finish(home, asked)
    assert is_whole(home, name)
    assert_nothing_left(home)


def see_that_it_is_whole(home: Path, name: str) -> None:
    """If the model is there, every byte is right. It may vanish while it is looked at, and be another one then."""
    store = Store(home)
    record = home / "models" / name / "store.json"
    before = inode(record)
    try:
        is_whole(home, name)
    except (Damaged, FileNotFoundError):
        if before is not None and inode(record) == before:
            assert store.check(name, deep=True)


def inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def test_two_pulls_under_two_names_fetch_once(tmp_path: Path, served: HubServer) -> None:
    home, asked = tmp_path / "home", ASKED["a GGUF file"]
    served.gate.clear()
    with getting(home, asked, name="one") as first:
        wait_until(lambda: len(served.gets("/cdn/")) > 0, first)
        with getting(home, asked, name="two") as second:
            assert second.stderr is not None
            assert any("waiting for another process that works on two" in line for line in second.stderr)
            served.gate.set()
            for process in (first, second):
                _, told = process.communicate(timeout=300)
                assert process.returncode == 0, told
    assert len(served.gets("/cdn/")) == 1
    assert is_whole(home, "one")
    assert is_whole(home, "two")


def test_a_stop_by_ctrl_c_is_prompt_and_keeps_what_was_fetched(tmp_path: Path, served: HubServer) -> None:
    home, asked = tmp_path / "home", ASKED["a GGUF file"]
    served.gate.clear()
    with running("obeaver", "pull", asked, "--home", str(home)) as process:
        wait_until(lambda: bytes_below(home / "downloads", "*.part") >= 0 and len(served.gets("/cdn/")) > 0, process)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=300)
    assert process.returncode == 130, told
    assert told.splitlines()[-1] == "obeaver: interrupted"
    assert Store(home).list() == []


TOLD = [
    (
        {"HF_HUB_OFFLINE": "1"},
        "hf:Org/Tiny-GGUF",
        "Org/Tiny-GGUF is not in the store, and HF_HUB_OFFLINE forbids to ask",
    ),
    ({}, "hf:Org/Nothing", "there is no model Org/Nothing on http://127.0.0.1"),
    ({"HF_TOKEN": "hf_bad"}, "hf:Org/Tiny-GGUF", "does not accept your token"),
    ({}, "hf:Org/Tiny-GGUF:Q2_K", "Org/Tiny-GGUF has nothing called Q2_K: it has tiny.gguf"),
    ({}, "hf:a/b/c", "'hf:a/b/c' is no address of the hub"),
]


@pytest.mark.parametrize(("environment", "asked", "says"), TOLD, ids=[row[2] for row in TOLD])
def test_a_command_that_fails_says_one_line_and_exits_with_1(
    tmp_path: Path,
    served: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    asked: str,
    says: str,
) -> None:
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with running("obeaver", "pull", asked, "--home", str(tmp_path / "home")) as process:
        out, told = process.communicate(timeout=300)
    assert (process.returncode, out) == (1, "")
    assert told.startswith("obeaver: ")
    assert told.count("\n") == 1
    assert says in told
    if "HF_HUB_OFFLINE" in environment:
        assert served.seen == []


def test_the_command_shows_licence_rate_and_folder(tmp_path: Path, served: HubServer) -> None:
    home = tmp_path / "home"
    with running("obeaver", "pull", ASKED["a folder"], "--home", str(home)) as process:
        out, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert out.strip() == str(home / "models" / "tiny-onnx")
    assert "licence: apache-2.0" in told
    assert "download Org/Tiny-ONNX: done, " in told
    num_requests = len(served.seen)
    with running("obeaver", "pull", ASKED["a folder"], "--home", str(home)) as process:
        again, told = process.communicate(timeout=300)
    assert (again, told) == (out, "")
    assert len(served.seen) == num_requests
