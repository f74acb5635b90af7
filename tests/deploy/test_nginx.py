"""`deploy/nginx.conf` under the system's own nginx, before two real servers."""

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import httpx
import openai
import pytest
from support.server_process import ServerProcess, serve

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
CONF = Path(__file__).parent.parent.parent / "deploy" / "nginx.conf"

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not Path(NGINX).is_file(), reason="nginx is not here"),
]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def servers(default_model: Path) -> Iterator[list[ServerProcess]]:
    assert default_model.is_dir()
    words = ("--offline", "--threads", "1", "--allowed-host", "models.example")
    with serve(*words) as first, serve(*words) as second:
        yield [first, second]


@pytest.fixture(scope="module")
def front(servers: list[ServerProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of nginx."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    conf = CONF.read_text(encoding="utf-8").replace("listen 127.0.0.1:8080;", f"listen 127.0.0.1:{port};")
    for told, server in zip(("18000", "18010"), servers, strict=True):
        conf = conf.replace(f"server 127.0.0.1:{told} ", f"server {httpx.URL(server.url).netloc.decode()} ")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    conf = conf.replace("http {\n", f"http {{\n    access_log off;\n{paths}", 1)
    assert re.search(r"server 127\.0\.0\.1:(18000|18010) ", conf) is None
    (folder / "nginx.conf").write_text(conf, encoding="utf-8")
    told = f"daemon off; pid {folder}/pid; error_log {folder}/error.log;"
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", told]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < give_up, "nginx does not listen"
        time.sleep(0.05)


@pytest.fixture
def client(front: str) -> Iterator[openai.OpenAI]:
    headers = {"Host": "models.example"}
    with openai.OpenAI(
        base_url=front + "/v1", api_key="unused", default_headers=headers, max_retries=0, timeout=120
    ) as client:
        yield client


def running_rows(servers: list[ServerProcess]) -> int:
    metrics = [httpx.get(server.url + "/metrics").text for server in servers]
    return sum(
        int(float(n)) for text in metrics for n in re.findall(r"^vllm:num_requests_running\S* ([\d.]+)$", text, re.M)
    )


def test_a_stream_passes_unbuffered(client: openai.OpenAI, servers: list[ServerProcess]) -> None:
    stream = client.chat.completions.create(
        model="smollm2-135m",
        messages=[{"role": "user", "content": "Count."}],
        stream=True,
        max_tokens=2000,
        extra_body={"ignore_eos": True},
    )
    for num_chunks, _chunk in enumerate(stream):
        if num_chunks == 5:
            # The client has read words while the server still makes the answer.
            assert running_rows(servers) == 1
            break
    stream.close()


def test_a_conversation_stays_where_its_prefix_is(client: openai.OpenAI) -> None:
    for conversation in ("a", "b", "c", "d"):
        asked = f"My name is {conversation}. " * 10
        messages = [{"role": "user", "content": asked}]
        for turn in range(2):
            answer = client.chat.completions.create(
                model="smollm2-135m",
                messages=messages,  # type: ignore[arg-type]
                max_tokens=8,
                temperature=0,
                extra_headers={"x-session-id": conversation},
            )
            assert answer.usage is not None
            assert answer.usage.prompt_tokens_details is not None
            cached = answer.usage.prompt_tokens_details.cached_tokens or 0
            said = answer.choices[0].message.content
            messages += [{"role": "assistant", "content": said or ""}, {"role": "user", "content": "Go on."}]
            if turn == 1:
                # More than the system prompt, which every conversation shares.
                assert cached > 60


def test_conversations_are_spread(client: openai.OpenAI, servers: list[ServerProcess]) -> None:
    def answered() -> list[float]:
        texts = [httpx.get(server.url + "/metrics").text for server in servers]
        return [
            sum(float(n) for n in re.findall(r"^vllm:generation_tokens_total\S* ([\d.]+)$", t, re.M)) for t in texts
        ]

    before = answered()
    for conversation in range(16):
        client.chat.completions.create(
            model="smollm2-135m",
            messages=[{"role": "user", "content": "Hi"}],
            max_tokens=1,
            extra_headers={"x-session-id": f"conversation {conversation}"},
        )
    assert all(now > then for now, then in zip(answered(), before, strict=True))


def test_no_request_is_lost_when_a_server_is_stopped_under_load(
    client: openai.OpenAI, servers: list[ServerProcess]
) -> None:
    def ask(conversation: int) -> str:
        answer = client.chat.completions.create(
            model="smollm2-135m",
            messages=[{"role": "user", "content": "Hi"}],
            max_tokens=20,
            extra_headers={"x-session-id": f"conversation {conversation}"},
        )
        return answer.choices[0].finish_reason

    with ThreadPoolExecutor(6) as pool:
        first = [pool.submit(ask, number) for number in range(12)]
        wait(first, return_when=FIRST_COMPLETED)
        servers[0].process.terminate()
        later = [pool.submit(ask, number) for number in range(12, 36)]
        # The client does not try again by itself: nginx does.
        assert {answer.result() for answer in first + later} <= {"stop", "length"}
    assert servers[0].process.wait(60) == 0
    assert ask(99)
