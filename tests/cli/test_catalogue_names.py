"""Names of the catalogue given to commands: fetched when they are not there, refused when they are of another kind."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from reference.tiny_gguf import TinyGguf
from support.decoder_embedder import END_ID, reference_vector, write_checkpoint, write_gguf
from support.hub_server import COMMIT, HubServer, Repo, hub_server
from support.server_process import serve

from obeaver.models.gguf.importer import import_gguf
from obeaver.models.importers import import_source
from obeaver.models.progress import SilentProgress
from obeaver.models.record import Recipe
from obeaver.models.store import Store, StoredModel
from obeaver.text.tokenizer import Tokenizer

REPO, FILE = "HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", "smollm2-360m-instruct-q8_0.gguf"
EMBEDDER = "Qwen3-Embedding-0.6B"
INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
PHI = "microsoft/Phi-4-mini-instruct-onnx"
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with hub_server() as running:
        yield running


def environ(hub: HubServer, home: Path) -> dict[str, str]:
    return {**hub.environment(), "OBEAVER_HOME": str(home), "HF_HOME": str(home / "hf"), "PIP_INDEX_URL": hub.url}


def obeaver(*words: str, hub: HubServer, home: Path) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "obeaver", *words]
    env = {**os.environ, **environ(hub, home)}
    return subprocess.run(line, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def greedy(url: str) -> str:
    body = {"messages": [{"role": "user", "content": "Why is the sky blue?"}], "max_tokens": 4, "temperature": 0}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()
    assert answer["usage"]["completion_tokens"] >= 1
    return str(answer["choices"][0]["message"]["content"])


def test_serve_fetches_a_catalogue_name_that_is_not_there_and_the_second_time_asks_nobody(
    hub: HubServer, tmp_path: Path
) -> None:
    content = TinyGguf(chat_template=TEMPLATE).write(tmp_path / "tiny.gguf").read_bytes()
    hub.repos[REPO] = Repo({FILE: content, "README.md": b"# SmolLM2"})
    home = tmp_path / "home"
    with serve("SmolLM2-360M", **environ(hub, home)) as server:
        [model] = httpx.get(f"{server.url}/v1/models", timeout=60).json()["data"]
        assert model["id"] == "smollm2-360m"
        first = greedy(server.url)
    asked = len(hub.seen)
    with serve("smollm2-360m", **environ(hub, home)) as server:
        assert greedy(server.url) == first
    assert len(hub.seen) == asked

    shown = json.loads(obeaver("show", "smollm2-360m", "--json", hub=hub, home=home).stdout)
    assert (shown["installed"], shown["weights"], shown["licence"]) == (True, "int8", "Apache-2.0")
    assert shown["origin"]["address"] == f"hf:{REPO}@{COMMIT}:{FILE}"
    listed = json.loads(obeaver("models", "--json", hub=hub, home=home).stdout)
    assert [found["name"] for found in listed["installed"]] == ["smollm2-360m"]
    assert "smollm2-360m" not in {entry["name"] for entry in listed["available"]}


def test_phi_4_mini_is_the_folder_for_a_processor_of_its_publisher(hub: HubServer, tmp_path: Path) -> None:
    source = TinyGguf("phi3", chat_template=TEMPLATE).write(tmp_path / "tiny.gguf")
    (folder := tmp_path / "folder").mkdir()
    import_gguf(source, folder, weights="int4", kv="float32", name="tiny", progress=SilentProgress())
    (folder / "obeaver.json").unlink()
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    place = "cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4"
    others = {f"gpu/gpu-int4-rtn-block-32/{name}": b"another" for name in made}
    hub.repos[PHI] = Repo({**others, **{f"{place}/{name}": content for name, content in made.items()}})
    with serve("Phi-4-mini", **environ(hub, tmp_path / "home")) as server:
        [model] = httpx.get(f"{server.url}/v1/models", timeout=60).json()["data"]
        assert model["id"] == "phi-4-mini"
        assert greedy(server.url)
    assert not hub.gets("/gpu/")
    shown = json.loads(obeaver("show", "phi-4-mini", "--json", hub=hub, home=tmp_path / "home").stdout)
    assert (shown["architecture"], shown["origin"]["address"]) == ("phi3", f"hf:{PHI}@{COMMIT}:{place}")


def test_qwen3_embedding_is_its_publishers_checkpoint_with_prompts_and_end_token(
    hub: HubServer, tmp_path: Path
) -> None:
    gguf = write_gguf(tmp_path / f"{EMBEDDER}.gguf", tokenizer={})
    (made := tmp_path / "made").mkdir()
    exact = Recipe("", "fp32", "float32")
    import_source(gguf, made, recipe=exact, measure=False, name="tiny", progress=SilentProgress())
    folder = write_checkpoint(tmp_path / "checkpoint", gguf, made)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    hub.repos[f"Qwen/{EMBEDDER}"] = Repo({**files, "README.md": b"# Qwen3 Embedding"})
    with serve(EMBEDDER, command="serve-embed", **environ(hub, tmp_path / "home")) as server:
        body = {"input": ["Beavers build dams."], "input_type": "query"}
        answer = httpx.post(f"{server.url}/v1/embeddings", json=body, timeout=60).json()
    tokenizer = Tokenizer.from_folder(made)
    ids = [*tokenizer.encode(INSTRUCTION + "Beavers build dams."), END_ID]
    assert (answer["model"], answer["usage"]["prompt_tokens"]) == ("qwen3-embedding-0.6b", len(ids))
    np.testing.assert_allclose(answer["data"][0]["embedding"], reference_vector(gguf, ids), atol=1e-5)
    shown = json.loads(obeaver("show", EMBEDDER, "--json", hub=hub, home=tmp_path / "home").stdout)
    assert (shown["kind"], shown["weights"], shown["pooling"]) == ("embedding", "fp32", ["lasttoken"])
    assert shown["origin"]["address"] == f"hf:Qwen/{EMBEDDER}@{COMMIT}"


def test_a_gguf_file_is_served_by_the_command_for_its_kind_and_the_other_says_so(
    hub: HubServer, tmp_path: Path
) -> None:
    embedder, chat = write_gguf(tmp_path / "mine.gguf"), TinyGguf(chat_template=TEMPLATE).write(tmp_path / "chat.gguf")
    for command, file, kind, other in (
        ("serve", embedder, "an embedding model", "serve-embed"),
        ("serve-embed", chat, "a chat model", "serve"),
    ):
        done = obeaver(command, str(file), "--port", "0", hub=hub, home=tmp_path / "home")
        assert (done.returncode, done.stderr) == (1, f"obeaver: {file} is {kind}: obeaver {other} {file}\n")
    with serve(str(embedder), command="serve-embed", **environ(hub, tmp_path / "home")) as server:
        assert httpx.post(f"{server.url}/v1/embeddings", json={"input": "the"}, timeout=60).status_code == 200
    [stored] = Store(tmp_path / "home").list()
    assert stored.name.startswith("mine-")
    assert stored.recipe is not None
    assert stored.recipe.weights == "fp32"


@pytest.mark.real
def test_a_start_with_the_default_model_names_a_better_one(
    hub: HubServer, default_entry: StoredModel, default_store: Store
) -> None:
    assert default_entry.name == "smollm2-135m"
    with serve(**environ(hub, default_store.home)) as server:
        [hint] = [line for line in server.log if "small model" in line]
    assert "smollm2-135m is a small model for trying things out; " in hint
    assert "obeaver serve qwen3-" in hint or "obeaver models lists larger ones" in hint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve", "qwen3-0.7b"], "there is no model named 'qwen3-0.7b': did you mean qwen3-1.7b or qwen3-0.6b"),
        (["serve", "bge-small-en-v1.5"], "bge-small-en-v1.5 is an embedding model: obeaver serve-embed bge-small"),
        (["run", "bge-reranker-base", "Hi"], "bge-reranker-base is a reranker: obeaver serve-embed bge-reranker-base"),
        (["serve-embed", "Qwen3-0.6B"], "Qwen3-0.6B is a chat model: obeaver serve Qwen3-0.6B"),
        (["embed", "qwen3-0.6b", "text"], "qwen3-0.6b is a chat model: obeaver serve qwen3-0.6b"),
        (["serve", "nothing-like-it"], "there is no model named 'nothing-like-it': obeaver models lists all"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_nothing_is_fetched(
    hub: HubServer, tmp_path: Path, words: list[str], message: str
) -> None:
    done = obeaver(*words, hub=hub, home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"obeaver: {message}")
    assert done.stderr.count("\n") == 1
    assert hub.seen == []


@pytest.mark.real
def test_an_installed_model_of_another_kind_is_refused_by_its_folder(
    hub: HubServer, default_model: Path, default_embedding_model: Path, tmp_path: Path
) -> None:
    for command, folder in (("serve", default_embedding_model), ("serve-embed", default_model)):
        done = obeaver(command, str(folder), "--port", "0", hub=hub, home=tmp_path / "home")
        other = "serve-embed" if command == "serve" else "serve"
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].endswith(f": obeaver {other} {folder}")


@pytest.mark.real
def test_a_model_that_is_served_is_not_removed(default_model: Path, tmp_path: Path, hub: HubServer) -> None:
    home = tmp_path / "home"
    shutil.copytree(default_model, home / "models" / "smollm2-135m")
    with serve("smollm2-135m", OBEAVER_HOME=str(home)) as server:
        done = obeaver("rm", "smollm2-135m", "--yes", hub=hub, home=home)
        told = f"smollm2-135m is in use by process {server.process.pid}: stop it first, or give --force\n"
        assert (done.returncode, done.stderr) == (1, f"obeaver: {told}")
        assert greedy(server.url)
    assert obeaver("rm", "smollm2-135m", "--yes", hub=hub, home=home).returncode == 0
    assert Store(home).names() == ()
