"""Names of the catalogue against the stand-in hub: the right file of a repository with many, imported, and served."""

import asyncio
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from reference.tiny_gguf import DENSE, TinyGguf
from support import chat_app, embed_app
from support.decoder_embedder import rename_tokens, write_checkpoint, write_gguf
from support.encoder_gguf import EncoderGguf
from support.hub_server import COMMIT, HubServer, Repo
from support.package_index import gguf_bytes
from support.pull_process import PausingImporter
from support.tiny_encoder import bert_config, write_decoder_embedder, write_json, write_pooling, write_tokenizer

from obeaver.models.catalog import CatalogEntry, load_catalog
from obeaver.models.encoder.layout import read_encoder_facts
from obeaver.models.facts import read_facts
from obeaver.models.importers import import_source
from obeaver.models.progress import SilentProgress
from obeaver.models.pull import ensure_model
from obeaver.models.sources.hub import HubSource
from obeaver.models.store import Store, StoredModel

PLENTY = 2**40
CATALOG = load_catalog(memory=PLENTY)
OTHER_TYPES = ("Q2_K", "Q4_0", "Q4_K_M", "Q6_K", "Q8_0", "F16", "BF16", "mxfp4")
FILES = {
    name: entry
    for name, entry in CATALOG.items()
    if isinstance(entry.sources[0], HubSource) and (entry.sources[0].address.path or "").endswith(".gguf")
}
SERVED = ("gpt-oss-20b", "granite-3.3-2b", "SmolLM3-3B", "Mistral-Small-3.2", "Gemma-3-1B", "qwen3-30B-A3B")
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def source_of(entry: CatalogEntry) -> HubSource:
    source = entry.sources[0]
    assert isinstance(source, HubSource)
    return source


def publish(hub: HubServer, entry: CatalogEntry, content: bytes) -> str:
    """Put a model's repository on the hub, with files of other types and kinds beside its own; the path of that."""
    address = source_of(entry).address
    repo = address.repo.rpartition("/")[2].removesuffix("-GGUF")
    path = (address.path or "").replace("*-", f"{repo}-").replace("*", f"{repo}-")
    beside = {f"{repo}-{kind}.gguf": gguf_bytes(10_000 + 32 * at) for at, kind in enumerate(OTHER_TYPES)}
    beside |= {f"mmproj-{repo}-{kind}.gguf": b"GGUF eye" for kind in ("F16", "Q8_0", "Q4_K_M")}
    asked = PurePosixPath(path).name.lower()
    others = {name: data for name, data in beside.items() if name.lower() != asked}
    hub.repos[address.repo] = Repo(
        {"README.md": b"# A model", "imatrix.dat": b"0", **others, path: content},
        gguf={"architecture": entry.architecture},
    )
    return path


def get(name: str, store: Store, importer: Any = import_source) -> StoredModel:
    return ensure_model(name, store, progress=SilentProgress(), memory=PLENTY, importer=importer)


async def fetched(name: str, store: Store) -> StoredModel:
    """The same in a test that has an event loop, where fetching has one of its own."""
    return await asyncio.to_thread(get, name, store)


@pytest.mark.parametrize("name", FILES)
def test_a_name_in_any_case_is_the_one_file_of_its_repository(name: str, hub: HubServer, store: Store) -> None:
    path = publish(hub, FILES[name], gguf_bytes(30_000))
    for asked in (name.upper(), name.title(), name):
        stored = get(asked, store, PausingImporter())
        assert stored.name == name
    assert stored.origin is not None
    assert stored.origin.address == f"hf:{source_of(FILES[name]).address.repo}@{COMMIT}:{path}"
    assert len(hub.gets("/resolve/")) == 1


async def test_what_a_name_fetches_is_served(hub: HubServer, store: Store, tmp_path: Path) -> None:
    folders = []
    for name in SERVED:
        entry = CATALOG[name.lower()]
        experts = 0 if entry.architecture in DENSE else 4
        tiny = TinyGguf(entry.architecture, hidden=64, ffn=96, head_dim=32, experts=experts, chat_template=TEMPLATE)
        content = tiny.write(tmp_path / f"{name}.gguf").read_bytes()
        publish(hub, entry, content)
        folders.append((await fetched(name, store)).folder)
        assert read_facts(folders[-1]).architecture == entry.architecture
    async with chat_app.serving(tmp_path / "served", *folders) as served:
        for name in SERVED:
            model, text = await served.answer(model=name.lower(), max_tokens=4)
            assert (model, bool(text)) == (name.lower(), True)


def files_of(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_bge_m3_is_its_file_in_float16_by_the_first_token(hub: HubServer, store: Store, tmp_path: Path) -> None:
    file = EncoderGguf(tokenizer="t5", pooling=2).write(tmp_path / "bge-m3.gguf")
    publish(hub, CATALOG["bge-m3"], file.read_bytes())
    stored = await fetched("BGE-M3", store)
    facts = read_encoder_facts(stored.folder)
    assert (facts.weights, facts.pooling, stored.origin and stored.origin.address) == (
        "fp32",
        ("cls_token",),
        f"hf:gpustack/bge-m3-GGUF@{COMMIT}:bge-m3-FP16.gguf",
    )
    async with embed_app.serving(stored.folder) as served:
        assert len(await served.vectors(["beavers build", "a dam"])) == 2


async def test_the_qwen3_reranker_is_its_publishers_checkpoint_and_ranks(
    hub: HubServer, store: Store, tmp_path: Path
) -> None:
    gguf = write_gguf(tmp_path / "Qwen3-Embedding.gguf", tokenizer={})
    made = (await fetched(str(gguf), store)).folder
    checkpoint = write_checkpoint(tmp_path / "checkpoint", gguf, made, prefix="model.")
    (checkpoint / "modules.json").unlink()
    rename_tokens(checkpoint / "tokenizer.json", {"[PAD0]": "yes", "[PAD1]": "no"})
    hub.repos["Qwen/Qwen3-Reranker-0.6B"] = Repo({**files_of(checkpoint), "README.md": b"# Reranker"})
    stored = await fetched("Qwen3-Reranker-0.6B", store)
    assert read_encoder_facts(stored.folder).kind == "reranker"
    async with embed_app.serving(stored.folder) as served:
        answer = (await served.post("/v1/rerank", query="What do beavers build?", documents=["dams", "the"])).json()
    assert sorted(item["index"] for item in answer["results"]) == [0, 1]


async def test_embeddinggemma_is_the_exact_graph_of_its_export(hub: HubServer, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    for kind in ("", "_q4", "_quantized"):
        write_decoder_embedder(folder / "onnx" / f"model{kind}.onnx")
    write_tokenizer(folder)
    write_pooling(folder, "mean_tokens")
    write_json(folder / "config.json", bert_config() | {"model_type": "gemma3_text", "architectures": ["Gemma3Model"]})
    hub.repos["onnx-community/embeddinggemma-300m-ONNX"] = Repo(dict(files_of(folder)))
    stored = await fetched("EmbeddingGemma-300M", store)
    assert not hub.gets("_q4") + hub.gets("_quantized")
    async with embed_app.serving(stored.folder) as served:
        queries = await asyncio.gather(*(served.embed("a b", input_type=kind) for kind in ("query", "document")))
    tokens = [answer["usage"]["prompt_tokens"] for answer in queries]
    assert tokens[0] != tokens[1]
