"""A server's life as its user sees it: start, refusals at start, signals, and what it connects to."""

import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import trustme
from support.server_process import ServerProcess, serve

pytestmark = pytest.mark.real

STORY = {"messages": [{"role": "user", "content": "Tell me a story."}], "stream": True, "temperature": 0}


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "obeaver", *words], capture_output=True, text=True, check=False, timeout=120
    )


def health(server: ServerProcess) -> dict[str, Any]:
    with urllib.request.urlopen(server.url + "/health", timeout=60) as answer:  # noqa: S310
        body: dict[str, Any] = json.load(answer)
    return body


def wait_until(server: ServerProcess, key: str, value: int, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while health(server)[key] != value:
        assert time.monotonic() < deadline, f"{key} did not become {value}: {health(server)}"
        time.sleep(0.02)


def test_a_port_in_use_is_one_clear_line_and_status_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = command("serve", "--port", str(taken.getsockname()[1]), "--offline")
    assert ended.returncode == 1
    assert "cannot listen on 127.0.0.1 port" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_an_open_address_without_a_key_is_refused() -> None:
    ended = command("serve", "--host", "0.0.0.0", "--port", "0", "--offline")
    assert ended.returncode == 1
    assert "--api-key" in ended.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--host", "nosuch.invalid"), "nosuch.invalid is no address of this machine"),
        (("--host", "192.0.2.1", "--insecure"), "cannot listen on 192.0.2.1"),
        (("--cors-origin", "example.org"), "such as https://chat.example.org"),
        (("--home", __file__), "cannot write to the model store"),
    ],
)
def test_an_option_that_cannot_work_says_so_in_its_last_line(flags: tuple[str, ...], words: str) -> None:
    ended = command("serve", "--port", "0", "--offline", *flags)
    assert ended.returncode in {1, 2}
    assert words in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_an_unknown_model_is_one_clear_line_that_names_known_ones() -> None:
    ended = command("serve", "smollm2-135", "--port", "0", "--offline")
    assert ended.returncode == 1
    assert "smollm2-135m" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_broken_model_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "genai_config.json").write_text("{", encoding="utf-8")
    ended = command("serve", str(tmp_path), "--port", "0", "--offline")
    assert ended.returncode == 1
    assert "genai_config.json" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_running_stream_ends_whole_after_sigterm_and_the_exit_status_is_0(default_model: Path) -> None:
    with serve(str(default_model), "--offline") as server:
        with httpx.stream(
            "POST", server.url + "/v1/chat/completions", json=STORY | {"max_tokens": 60}, timeout=60
        ) as answer:
            lines = answer.iter_lines()
            first = next(lines)
            server.process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line]
        assert first.startswith("data: ")
        assert rest[-1] == "data: [DONE]"
        assert server.process.wait(30) == 0


def test_a_stream_that_outlasts_the_shutdown_limit_gets_an_error_event(default_model: Path) -> None:
    with serve(str(default_model), "--offline", "--shutdown-timeout", "0.5") as server:
        endless = STORY | {"max_tokens": 6000, "ignore_eos": True}
        with httpx.stream("POST", server.url + "/v1/chat/completions", json=endless, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line.startswith("data: ")]
        assert "error" in json.loads(rest[-1][6:])
        assert server.process.wait(30) == 0


def test_under_load_no_answer_is_cut_without_its_error_when_the_server_is_told_to_stop(default_model: Path) -> None:
    with (
        serve(str(default_model), "--offline", "--shutdown-timeout", "1", "--max-rows", "4") as server,
        ThreadPoolExecutor(12) as pool,
    ):
        bodies = [STORY | {"max_tokens": 5 if number % 3 else 4000, "ignore_eos": True} for number in range(12)]
        for number, body in enumerate(bodies):
            body["stream"] = number % 2 == 0
        ends = [pool.submit(how_it_ends, server.url, body) for body in bodies]
        wait_until(server, "num_running", 4)
        server.process.send_signal(signal.SIGTERM)
        assert {end.result() for end in ends} <= {"whole", "told"}
        assert server.process.wait(60) == 0


def how_it_ends(url: str, body: dict[str, Any]) -> str:
    """`whole` for an answer, `told` for one that ends with an error or is one, `cut` for anything else."""
    with httpx.stream("POST", url + "/v1/chat/completions", json=body, timeout=120) as answer:
        text = answer.read().decode()
    if answer.status_code == 503:
        return "told" if json.loads(text)["error"]["code"] == "shutting_down" else "cut"
    if not body["stream"]:
        return "whole" if json.loads(text)["choices"] else "cut"
    last = [line[6:] for line in text.splitlines() if line.startswith("data: ")][-1]
    return "whole" if last == "[DONE]" else "told" if "error" in json.loads(last) else "cut"


def test_while_a_server_drains_newcomers_are_sent_away_and_a_second_signal_ends_it_at_once(default_model: Path) -> None:
    with serve(str(default_model), "--offline", "--shutdown-timeout", "600") as server:
        endless = STORY | {"max_tokens": 6000, "ignore_eos": True}
        with httpx.stream("POST", server.url + "/v1/chat/completions", json=endless, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGTERM)
            # Each on a connection of its own: the port is open as long as somebody is being answered.
            while (ready := httpx.get(server.url + "/health/ready", timeout=60)).status_code == 200:
                time.sleep(0.02)
            assert ready.json() == {"status": "draining"}
            assert httpx.get(server.url + "/health/live", timeout=60).status_code == 200
            refused = httpx.post(server.url + "/v1/chat/completions", json=STORY, timeout=60)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["connection"] == "close"
            server.process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line.startswith("data: ")]
        assert json.loads(rest[-1][6:])["error"]["code"] == "shutting_down"
        # Far below the 600 s that the first signal gave it.
        assert server.process.wait(60) == 0


def test_a_client_that_leaves_frees_its_place(server: ServerProcess) -> None:
    before = health(server)["requests_aborted"]
    endless = STORY | {"max_tokens": 6000, "ignore_eos": True}
    with httpx.stream("POST", server.url + "/v1/chat/completions", json=endless, timeout=60) as answer:
        next(answer.iter_lines())
        wait_until(server, "num_running", 1)
    wait_until(server, "num_running", 0)
    assert health(server)["requests_aborted"] == before + 1


def test_a_client_that_leaves_before_a_plain_answer_frees_its_place(server: ServerProcess) -> None:
    before = health(server)["requests_aborted"]
    endless = STORY | {"max_tokens": 6000, "ignore_eos": True, "stream": False}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(server.url + "/v1/chat/completions", json=endless, timeout=httpx.Timeout(60, read=2.0))
    wait_until(server, "num_running", 0)
    assert health(server)["requests_aborted"] == before + 1


def test_a_serving_process_connects_to_nobody(server: ServerProcess) -> None:
    httpx.post(server.url + "/v1/chat/completions", json=STORY | {"stream": False, "max_tokens": 4}, timeout=60)
    connections = psutil.Process(server.process.pid).net_connections(kind="inet")
    assert {connection.laddr.ip for connection in connections} == {"127.0.0.1"}
    assert all(connection.raddr.ip == "127.0.0.1" for connection in connections if connection.raddr)


def test_https_is_served_with_a_certificate(tmp_path: Path, default_model: Path) -> None:
    assert default_model.is_dir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with serve("--offline", "--tls-cert", str(tmp_path / "server.pem")) as server:
        assert server.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        assert httpx.get(server.url + "/health", verify=trusting).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(server.url + "/health")


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), ("no certificate", "no start line|NO_START_LINE|PEM")]
)
def test_a_certificate_that_cannot_be_used_is_one_clear_line(content: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    ended = command("serve", "--port", "0", "--offline", "--tls-cert", str(path))
    assert ended.returncode == 1
    assert "the certificate cannot be used" in ended.stderr
    assert re.search(said, ended.stderr)
    assert "Traceback" not in ended.stderr
