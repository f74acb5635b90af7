"""`obeaver check`, with a hub of the test's own."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.tiny_decoder import TinyDecoder

from obeaver.models.store import Store

NOWHERE = "http://127.0.0.1:9"


class Checker:
    """Runs the command in a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / ".obeaver")
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("OBEAVER_", "HF_")) and "proxy" not in key.lower()
        }
        self.environ = {**kept, "HOME": str(folder), "HF_HOME": str(folder / "hf"), "HF_ENDPOINT": NOWHERE}

    def run(self, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "obeaver", "check", *words],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *words: str, **environ: str) -> Any:
        done = self.run(*words, "--json", **environ)
        report = json.loads(done.stdout)
        assert (done.returncode == 0) == report["ok"]
        return report

    def make(self, name: str) -> Path:
        with self.store.staging(name) as folder:
            TinyDecoder().write(folder)
            (folder / "tokenizer.json").write_text("{}")
        return self.store.home / "models" / name


@pytest.fixture
def checker(tmp_path: Path) -> Checker:
    return Checker(tmp_path)


class _Hub(BaseHTTPRequestHandler):
    """Knows one token."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "Bearer hf_good"
        broken = self.path.startswith("/broken")
        body = json.dumps({"name": "beaver"} if known else {"error": "Invalid"}).encode()
        self.send_response(500 if broken else 200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing on the test's stderr."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_machine_without_models_and_without_a_hub_is_well(checker: Checker) -> None:
    done = checker.run()
    assert done.returncode == 0
    assert done.stdout.endswith("all that matters works\n")
    told = {line[:12].strip(): line[12:] for line in done.stdout.splitlines()}
    assert "onnxruntime 1." in told["versions"]
    assert "threads compute" in told["processor"]
    assert told["providers"].startswith("cpu (cpu)")
    assert told["store"].startswith(str(checker.store.home))
    assert told["models"] == "0 of 0 sound (sizes and times; --deep reads all content)"
    assert (told["hub"], told["telemetry"]) == (f"{NOWHERE}: cannot be reached", "off")
    # A plugin that is installed may have found no device; that is a note before this one.
    assert done.stderr.splitlines()[-1].startswith(f"note: the hub {NOWHERE}: ")
    assert not checker.store.home.exists()


def test_the_report_for_programs_has_all_of_it(checker: Checker) -> None:
    checker.make("tiny")
    report = checker.json()
    assert (report["ok"], report["telemetry_off"]) == (True, True)
    assert report["versions"]["onnxruntime"]
    assert 1 <= report["processors"]["num_threads"] <= report["processors"]["logical"]
    assert 0 < report["memory"]["available"] <= report["memory"]["total"]
    assert "cpu" in {provider["name"] for provider in report["providers"]}
    assert report["store"]["models"] == [{"name": "tiny", "problem": None}]
    assert 0 < report["store"]["disk_free"] < report["store"]["disk_total"]


def test_a_damaged_model_is_a_problem_that_matters(checker: Checker) -> None:
    checker.make("tiny")
    (checker.make("broken") / "model.onnx").unlink()
    done = checker.run()
    assert done.returncode == 1
    assert "PROBLEM: the model broken is damaged (model.onnx is missing): obeaver rm broken\n" in done.stderr
    assert done.stdout.endswith("something that matters does not work\n")
    assert checker.json()["ok"] is False


def test_damage_that_sizes_and_times_do_not_show_is_found_when_asked_for(checker: Checker) -> None:
    graph = checker.make("tiny") / "model.onnx"
    before, content = graph.stat(), bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(content)
    os.utime(graph, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert checker.json()["ok"] is True
    report = checker.json("--deep")
    assert report["store"]["models"] == [{"name": "tiny", "problem": "model.onnx was changed"}]


def test_a_move_that_was_interrupted_is_a_problem_that_matters(checker: Checker, tmp_path: Path) -> None:
    checker.store.home.mkdir()
    note = {"home": str(checker.store.home), "moving_to": str(tmp_path / "new")}
    (checker.store.home / "home.json").write_text(json.dumps(note))
    done = checker.run()
    assert done.returncode == 1
    assert f"to {tmp_path / 'new'} is not done: obeaver init finishes it" in done.stderr


def test_a_store_where_nothing_can_be_written_is_a_problem_that_matters(checker: Checker, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    report = checker.json(OBEAVER_HOME=str(tmp_path / "file"))
    assert [problem["text"] for problem in report["problems"] if problem["matters"]] == [
        f"{tmp_path / 'file'} cannot be written: nothing can be fetched or imported"
    ]


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ({}, (True, False, None, None)),
        ({"HF_TOKEN": "hf_good"}, (True, True, "beaver", None)),
        ({"HF_TOKEN": "hf_bad"}, (True, True, None, "the token is refused: hf auth login, or set HF_TOKEN")),
    ],
)
def test_the_hub_is_asked_who_we_are(
    checker: Checker, hub: str, token: dict[str, str], expected: tuple[object, ...]
) -> None:
    report = checker.json(HF_ENDPOINT=hub, **token)
    found = report["hub"]
    assert (found["reachable"], found["has_token"], found["user"], found["problem"]) == expected
    assert report["ok"] is True


def test_a_hub_that_fails_is_no_reason_to_fail(checker: Checker, hub: str) -> None:
    report = checker.json(HF_ENDPOINT=f"{hub}/broken")
    assert (report["ok"], report["hub"]["problem"]) == (True, "it answers with status 500")


def test_a_hub_that_never_answers_is_not_waited_for(checker: Checker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        report = checker.json(HF_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (report["ok"], report["hub"]["reachable"]) == (True, False)


def test_offline_nobody_is_asked(checker: Checker, hub: str) -> None:
    report = checker.json(HF_ENDPOINT=hub, HF_HUB_OFFLINE="1")
    assert (report["hub"]["offline"], report["hub"]["reachable"], report["hub"]["problem"]) == (True, None, None)


def test_a_reader_that_has_left_is_told_by_the_status_alone(checker: Checker) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-m", "obeaver", "models", "--json"]
    done = subprocess.run(line, env=checker.environ, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.real
def test_the_default_models_are_sound_to_the_last_byte(
    checker: Checker, default_model: Path, default_embedding_model: Path
) -> None:
    report = checker.json("--deep", OBEAVER_HOME=str(default_model.parents[1]))
    found = {model["name"]: model["problem"] for model in report["store"]["models"]}
    assert (found[default_model.name], found[default_embedding_model.name]) == (None, None)
