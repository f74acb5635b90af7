"""What a server never does, whatever it is asked: it connects to nobody, opens nothing that a request names, and writes
down neither what is said nor the keys."""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.chat_app import make_model
from support.server_process import ServerProcess, running

from obeaver.models.store import Store

TESTS = Path(__file__).parents[1]
KEY, WRONG_KEY, WORD = "the-right-key-4711", "the-wrong-key-0815", "Zwetschgendatschi"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_model(Store(home), "small", context=2048)
    (home / "secret").write_text("{{ 1 }}")
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[ServerProcess]:
    words = ["serve", "small", "--home", str(home), "--port", "0", "--api-key", KEY, "--log-level", "debug"]
    line = [sys.executable, str(TESTS / "support" / "audited.py"), *words]
    with running(line, {"PYTHONPATH": str(TESTS.parent)}) as process:
        yield process


def ask(server: ServerProcess, path: str, key: str = KEY, **body: Any) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def chat(server: ServerProcess, content: Any, **body: Any) -> tuple[int, bytes]:
    return ask(server, "/v1/chat/completions", messages=[{"role": "user", "content": content}], max_tokens=4, **body)


def audited(server: ServerProcess) -> list[str]:
    return [line for line in server.log if line.startswith("AUDIT")]


def test_nothing_that_a_request_names_is_fetched_or_opened(server: ServerProcess, home: Path) -> None:
    before = len(audited(server))
    secret = str(home / "secret")
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/secret"
        for place in (secret, url, f"file://{secret}", "../secret"):
            statuses = [
                chat(server, place)[0],
                chat(server, [{"type": "text", "text": place}], model=place)[0],
                chat(
                    server, f"{{% include '{place}' %}}", chat_template_kwargs={"template": place, "documents": place}
                )[0],
                chat(server, "Hi", chat_template=place)[0],
            ]
            assert statuses == [200] * 4
            refused = [
                chat(server, [{"type": "image_url", "image_url": {"url": place}}])[0],
                chat(server, [{"type": "input_audio", "input_audio": {"data": place, "format": "wav"}}])[0],
                chat(server, [{"type": "file", "file": {"file_data": place}}])[0],
                chat(server, "Hi", response_format=_form({"$ref": place}))[0],
                ask(server, "/api/models/load", alias=place)[0],
                ask(server, "/api/models/load", alias="small", model_id=place)[0],
            ]
            assert all(400 <= status < 500 for status in refused), refused
        with pytest.raises(BlockingIOError):
            trap.accept()
    # It does tell: the address to listen on was looked up.
    assert any("getaddrinfo" in line for line in audited(server))
    assert audited(server)[before:] == []


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}


def test_the_log_has_no_prompts_no_answers_and_no_keys(server: ServerProcess) -> None:
    status, body = chat(server, WORD, max_completion_tokens=40, ignore_eos=True)
    assert status == 200
    answer = json.loads(body)["choices"][0]["message"]["content"]
    for wrong in ({"content": WORD, "stop": 1}, {"content": WORD, "response_format": _form({"pattern": WORD + "("})}):
        content = wrong.pop("content")
        assert chat(server, content, **wrong)[0] == 400
    assert ask(server, "/v1/chat/completions", WRONG_KEY, messages=WORD)[0] == 401
    assert ask(server, "/v1/chat/completions", messages=WORD)[0] == 400
    log = "".join(server.log)
    assert '"POST /v1/chat/completions" 200' in log
    assert WORD not in log
    assert KEY not in log
    assert WRONG_KEY not in log
    assert len(answer) > 20
    assert answer not in log


def test_every_answer_says_that_it_is_no_page(server: ServerProcess) -> None:
    for path in ("/", "/health", "/openapi.json", "/nothing"):
        request = urllib.request.Request(server.url + path, headers={"Authorization": f"Bearer {KEY}"})  # noqa: S310
        try:
            headers = urllib.request.urlopen(request, timeout=60).headers  # noqa: S310
        except urllib.error.HTTPError as error:
            headers = error.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_a_server_without_a_network_serves(home: Path) -> None:
    line = ["unshare", "--map-root-user", "--net"]
    allowed = (
        shutil.which("unshare") and subprocess.run([*line, "true"], capture_output=True, check=False).returncode == 0
    )
    if not allowed:
        pytest.skip("this machine allows no network namespaces (unshare --net)")
    script = [sys.executable, str(TESTS / "support" / "no_network.py"), "small", "--home", str(home)]
    environ = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    done = subprocess.run([*line, *script], capture_output=True, text=True, check=False, env=environ, timeout=300)
    assert (done.returncode, done.stdout.strip()) == (0, "4"), done.stderr
