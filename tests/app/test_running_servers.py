"""Who serves over a store: listed while it lives, gone when it ends, however it ends."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from obeaver.app.running_servers import FOLDER, RunningServer, RunningServers

LISTS_ITSELF = """
import sys
from pathlib import Path
from obeaver.app.running_servers import RunningServer, RunningServers
with RunningServers(Path(sys.argv[1])).listed(RunningServer("serve", "http://127.0.0.1:1", ("m",))):
    print("listed", flush=True)
    sys.stdin.read()
"""


def listing(home: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", LISTS_ITSELF, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "listed\n"
    return process


def test_a_server_is_listed_while_it_lives(tmp_path: Path) -> None:
    servers = RunningServers(tmp_path)
    assert servers.all() == []
    with servers.listed(RunningServer("serve", "http://127.0.0.1:1", ("a", "b"))):
        (found,) = RunningServers(tmp_path).all()
        assert (found.command, found.url, found.models, found.pid) == (
            "serve",
            "http://127.0.0.1:1",
            ("a", "b"),
            os.getpid(),
        )
        assert found.is_here
        assert (found.memory_bytes() or 0) > 1_000_000
    assert servers.all() == []
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_of_a_server_that_was_killed_nothing_is_left(tmp_path: Path) -> None:
    with listing(tmp_path) as process:
        assert [server.pid for server in RunningServers(tmp_path).all()] == [process.pid]
        process.kill()
        process.wait(60)
        assert RunningServers(tmp_path).all() == []
        assert list((tmp_path / FOLDER).iterdir()) == []


def test_neither_a_clock_that_jumped_nor_a_process_id_that_is_used_again_deceives(tmp_path: Path) -> None:
    in_the_future = RunningServer("serve", "http://127.0.0.1:1", started_at=time.time() + 86_400)
    with RunningServers(tmp_path).listed(in_the_future):
        assert RunningServers(tmp_path).all() == [in_the_future]
    # The id is that of a process that lives, this one, and its server is gone all the same.
    left = tmp_path / FOLDER / f"{os.getpid()}-00000000.json"
    left.write_text(json.dumps({"command": "serve", "url": "http://127.0.0.1:1", "models": [], "pid": os.getpid()}))
    assert RunningServers(tmp_path).all() == []
    assert not left.exists()


def test_what_another_version_wrote_is_passed_over(tmp_path: Path) -> None:
    servers = RunningServers(tmp_path)
    with servers.listed(RunningServer("serve", "http://127.0.0.1:1")):
        (path,) = (tmp_path / FOLDER).glob("*.json")
        path.write_text('{"something": "else"}', encoding="utf-8")
        assert servers.all() == []


def test_a_server_elsewhere_has_no_memory_that_could_be_told() -> None:
    assert RunningServer("serve", "http://10.0.0.1:1", host="another machine").memory_bytes() is None


def test_a_store_that_cannot_be_written_is_served_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder")
    servers = RunningServers(tmp_path / "home")
    with servers.listed(RunningServer("serve", "http://127.0.0.1:1")):
        assert servers.all() == []
