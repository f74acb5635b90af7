"""`obeaver ps` beside real servers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.server_process import serve

from obeaver.app.running_servers import RunningServer, RunningServers


def ps(home: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "obeaver", "ps", "--home", str(home), *words],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def ps_json(home: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(ps(home, "--json"))
    return listed


def test_every_server_over_the_store_is_shown_and_the_second_says_that_there_is_a_first(tmp_path: Path) -> None:
    assert ps(tmp_path) == f"no server runs over {tmp_path}\n"
    words = ("--home", str(tmp_path), "--offline")
    with serve(*words, command="dashboard") as first, serve(*words, command="dashboard") as second:
        told = ps_json(tmp_path)
        assert [server["url"] for server in told] == [first.url, second.url]
        assert [server["pid"] for server in told] == [first.process.pid, second.process.pid]
        assert {server["status"] for server in told} == {"ok"}
        assert all(server["memory_bytes"] > 1_000_000 for server in told)
        assert [(server["num_running"], server["num_waiting"], server["models"]) for server in told] == [(0, 0, [])] * 2
        lines = ps(tmp_path).splitlines()
        assert lines[0].split() == ["PID", "COMMAND", "URL", "MODELS", "STATUS", "MEMORY", "RUNNING", "WAITING", "UP"]
        assert first.url in lines[1]
        assert [line for line in second.log if "another obeaver serves from" in line and first.url in line]
    assert ps_json(tmp_path) == []


def test_a_server_that_does_not_answer_is_silent_and_one_of_another_machine_is_elsewhere(tmp_path: Path) -> None:
    servers = RunningServers(tmp_path)
    silent = RunningServer("serve", "http://127.0.0.1:1", ("m",))
    with servers.listed(silent), servers.listed(RunningServer("serve", "http://10.0.0.1:1", host="another")):
        told = ps_json(tmp_path)
    assert [(server["status"], server["num_running"]) for server in told] == [("silent", None), ("elsewhere", None)]
    assert told[0]["models"] == ["m"]
