"""Peers on the PATH and at URLs. The programs are stand-ins that take the real ones' commands and serve HTTP."""

import sys
from pathlib import Path

import pytest

from benchmarks.conductor import ContenderFailed
from benchmarks.contenders.fleet import Contender, Fleet
from benchmarks.contenders.present import chat_contenders
from benchmarks.contenders.servers import Server, at_url, llama_server, ollama
from benchmarks.options import Options
from benchmarks.time_limit import TimeLimit

SERVES = """\
import http.server, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"data": [{"id": "the model"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
"""
LLAMA = (
    SERVES
    + """
given = [word for word in sys.argv[1:] if word != "--jinja"]
words = dict(zip(given[::2], given[1::2]))
assert ("--jinja" in sys.argv) == ("--chat-template-file" in words), words
assert words.get("--chat-template-file", "own.jinja").endswith("own.jinja"), words
assert words["--parallel"] == "4" and words["--ctx-size"] == "2048" and words["--threads"] == "2", words
http.server.HTTPServer(("127.0.0.1", int(words["--port"])), Handler).serve_forever()
"""
)
OLLAMA = (
    SERVES
    + """
host, port = os.environ["OLLAMA_HOST"].split(":")
if sys.argv[1] == "serve":
    assert os.environ["OLLAMA_NUM_PARALLEL"] == "4" and os.path.isabs(os.environ["OLLAMA_MODELS"])
    http.server.HTTPServer((host, int(port)), Handler).serve_forever()
name, recipe = sys.argv[2], open(sys.argv[4]).read()
assert sys.argv[1] == "create" and name == "benchmark" and sys.argv[3] == "-f"
if "broken" in recipe:
    sys.exit("Error: invalid file magic")
assert recipe.startswith("FROM ") and "num_ctx 512" in recipe and "num_thread 2" in recipe
"""
)


def on_path(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / name
    program.write_text(f"#!{sys.executable}\n{text}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_llama_server_is_started_asked_for_its_health_and_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(tmp_path, "llama-server", LLAMA, monkeypatch)
    with llama_server(tmp_path / "m.gguf", threads=2, slots=4, context=512) as server:
        assert at_url("again", server.url + "/v1").model == "the model"
        assert server.load_s > 0
        assert server.resident_mb() > 1
    with pytest.raises(ContenderFailed, match="cannot be read"):
        server.resident_mb()


def test_a_chat_template_reaches_those_that_can_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(tmp_path, "llama-server", LLAMA, monkeypatch)
    on_path(tmp_path, "ollama", OLLAMA, monkeypatch)
    template = tmp_path / "own.jinja"
    options = Options(providers=("cpu",), runners=("ort",), chat_template=template)
    found = chat_contenders(options, tmp_path, tmp_path / "m.gguf")
    settings = {contender.name: contender.facts.get("settings", {}).get("chat_template") for contender in found}
    peers = dict.fromkeys(("llama-server", "llama-server, 1 slot"))
    assert settings == {"obeaver cpu/ort": str(template), "obeaver cpu/ort, no lookahead": str(template), **peers}
    with llama_server(tmp_path / "m.gguf", threads=2, slots=4, context=512, chat_template=template) as server:
        assert server.load_s > 0


def test_another_import_of_the_model_is_a_contender_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    options = Options(providers=("cpu",), runners=("ort",))
    found = chat_contenders(options, tmp_path / "m", None, [tmp_path / "m-int4"])
    assert {contender.name: contender.folder for contender in found} == {
        "obeaver cpu/ort": tmp_path / "m",
        "obeaver cpu/ort, m-int4": tmp_path / "m-int4",
        "obeaver cpu/ort, no lookahead": tmp_path / "m",
    }


def test_ollama_gets_a_store_of_its_own_and_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(tmp_path, "ollama", OLLAMA, monkeypatch)
    with ollama(tmp_path / "m.gguf", threads=2, slots=4, context=512) as server:
        assert server.model == "benchmark"
    with (
        pytest.raises(ContenderFailed, match="invalid file magic"),
        ollama(tmp_path / "broken.gguf", threads=2, slots=4, context=512),
    ):
        pass


def test_a_server_that_ends_at_once_tells_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(tmp_path, "llama-server", "import sys\nsys.exit('error: no such file')", monkeypatch)
    with (
        pytest.raises(ContenderFailed, match=r"ended with status 1 .* error: no such file"),
        llama_server(tmp_path / "m.gguf", threads=2, slots=4, context=512),
    ):
        pass


def test_a_url_where_nobody_listens_is_a_contender_that_failed() -> None:
    with pytest.raises(ContenderFailed, match="does not answer as expected"):
        at_url("peer", "http://127.0.0.1:9")


def test_programs_on_the_path_and_urls_take_part_beside_every_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(tmp_path, "llama-server", "print('version: 7')", monkeypatch)
    on_path(tmp_path, "ollama", "print('ollama version is 8')", monkeypatch)
    options = Options(providers=("cpu",), peers=(("vllm", "http://127.0.0.1:9"),), gguf=(tmp_path / "other.gguf",))
    found = chat_contenders(options, tmp_path, tmp_path / "m.gguf")
    assert [contender.name for contender in found] == [
        "obeaver cpu/ort",
        "obeaver cpu/genai",
        "obeaver cpu/ort, no lookahead",
        "llama-server",
        "llama-server other",
        "llama-server, 1 slot",
        "llama-server other, 1 slot",
        "ollama",
        "vllm",
    ]
    facts = {contender.name: contender.facts for contender in found}
    assert facts["llama-server"]["version"] == "version: 7"
    assert facts["ollama"]["version"] == "ollama version is 8"


def test_a_fleet_starts_a_server_when_it_is_asked_for_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(tmp_path, "llama-server", LLAMA, monkeypatch)
    warmed: list[str] = []
    told: dict[str, object] = {}

    async def warm_up(server: Server) -> None:
        warmed.append(server.name)

    contender = Contender(
        "peer",
        lambda timeout_s: llama_server(tmp_path, threads=2, slots=4, context=512, name="peer", timeout_s=timeout_s),
        {"kind": "peer"},
    )
    with Fleet([contender], TimeLimit(), warm_up, told.__setitem__) as fleet:
        assert warmed == []
        first = fleet.server("peer")
        assert fleet.server("peer") is first
        with fleet.fresh("peer") as fresh:
            assert fresh.pid != first.pid
    assert warmed == ["peer"]
    assert told["peer"] == {"kind": "peer"}


def test_a_fleet_does_not_try_again_what_did_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[float] = []

    def start(timeout_s: float):  # type: ignore[no-untyped-def]
        starts.append(timeout_s)
        raise ContenderFailed("there is no such provider")

    async def warm_up(_: Server) -> None:
        raise AssertionError("nothing has started")

    told: dict[str, object] = {}
    with Fleet([Contender("peer", start)], TimeLimit(), warm_up, told.__setitem__) as fleet:
        for _ in range(2):
            with pytest.raises(ContenderFailed, match="no such provider"):
                fleet.server("peer")
    assert len(starts) == 1
