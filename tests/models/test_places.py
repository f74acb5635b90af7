"""What people point obeaver at: places of other programs that are understood, and files of which one line is said."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from reference.tiny_gguf import TinyGguf
from support.tiny_encoder import bert_config

from obeaver.errors import ModelError
from obeaver.models.facts import read_facts
from obeaver.models.places import model_at, ollama_model
from obeaver.models.progress import SilentProgress
from obeaver.models.pull import ensure_model
from obeaver.models.store import Store


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TinyGguf(layers=1).write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def put(folder: Path, *names: str, content: str = "{}") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def put_gguf(gguf: Path, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(gguf, place)
    return place


def put_ollama(gguf: Path, store: Path, name: str, digest: str) -> Path:
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:00"},
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"},
    ]
    put(store / "manifests", name, content=json.dumps({"schemaVersion": 2, "layers": layers}))
    return put_gguf(gguf, store / "blobs" / f"sha256-{digest}")


def put_cached(repo: Path, commit: str, *, main: bool = True) -> Path:
    put(repo / "snapshots" / commit, "genai_config.json", "model.onnx")
    if main:
        put(repo, "refs/main", content=commit)
    return repo / "snapshots" / commit


def cpu_folders(path: Path, _: Path) -> Path:
    put(path, *(f"{kind}/genai_config.json" for kind in ("cpu_and_mobile/cpu-int4-rtn-block-32", "cuda/cuda-int4")))
    return path / "cpu_and_mobile" / "cpu-int4-rtn-block-32"


def foundry_cache(path: Path, _: Path) -> Path:
    put(path, "foundry.modelinfo.json", "Microsoft/Phi-4-mini-cpu/v5/genai_config.json")
    return path / "Microsoft" / "Phi-4-mini-cpu" / "v5"


def best_gguf(path: Path, gguf: Path) -> Path:
    put_gguf(gguf, path / "m-Q4_0.gguf")
    put_gguf(gguf, path / "mmproj-m-f16.gguf")
    return put_gguf(gguf, path / "m-Q8_0.gguf")


def one_gguf(path: Path, gguf: Path) -> Path:
    put(path, "README.md", "config.json")
    return put_gguf(gguf, path / "deeper" / "model.gguf")


def cached_repository(path: Path, _: Path) -> Path:
    put_cached(path, "aaaa", main=False)
    return put_cached(path, "bbbb")


def cache_above(path: Path, _: Path) -> Path:
    return put_cached(path / "hub" / "models--Org--Name", "cccc")


def cache_without_a_branch(path: Path, _: Path) -> Path:
    return put_cached(path / "models--Org--Name", "dddd", main=False)


def ollama_store(path: Path, gguf: Path) -> Path:
    return put_ollama(gguf, path / "models", "registry.ollama.ai/library/tiny/latest", "ab12")


def gguf_beside_a_checkpoint(path: Path, gguf: Path) -> Path:
    put(path, "config.json", content='{"model_type": "llama"}')
    put(path, "model.safetensors")
    return put_gguf(gguf, path / "m-Q8_0.gguf")


@pytest.mark.parametrize(
    "made",
    [
        cpu_folders,
        foundry_cache,
        best_gguf,
        one_gguf,
        cache_above,
        cache_without_a_branch,
        ollama_store,
        gguf_beside_a_checkpoint,
    ],
    ids=lambda made: made.__name__,
)
def test_a_folder_means_the_model_in_it(tmp_path: Path, gguf: Path, made: Callable[[Path, Path], Path]) -> None:
    expected = made(tmp_path, gguf)
    assert model_at(tmp_path) == expected


def test_a_repository_in_the_cache_means_its_branch(tmp_path: Path, gguf: Path) -> None:
    repo = tmp_path / "models--Org--Name"
    expected = cached_repository(repo, gguf)
    assert model_at(repo) == expected


def test_a_manifest_of_ollamas_means_its_blob(tmp_path: Path, gguf: Path) -> None:
    blob = put_ollama(gguf, tmp_path, "registry.ollama.ai/library/tiny/1b", "cd34")
    assert model_at(tmp_path / "manifests/registry.ollama.ai/library/tiny/1b") == blob


@pytest.mark.parametrize(
    ("name", "digest"), [("tiny", "aa"), ("tiny:1b", "bb"), ("me/mine:7b", "cc"), ("host/me/x:1", "dd")]
)
def test_a_model_of_ollamas_is_found_by_name(tmp_path: Path, gguf: Path, name: str, digest: str) -> None:
    for place, content in (
        ("registry.ollama.ai/library/tiny/latest", "aa"),
        ("registry.ollama.ai/library/tiny/1b", "bb"),
        ("registry.ollama.ai/me/mine/7b", "cc"),
        ("host/me/x/1", "dd"),
    ):
        put_ollama(gguf, tmp_path, place, content)
    assert ollama_model(name, {"OLLAMA_MODELS": str(tmp_path)}) == tmp_path / "blobs" / f"sha256-{digest}"
    with pytest.raises(ModelError, match="no model other:latest: it has host/me/x:1, me/mine:7b, tiny:1b, tiny:latest"):
        ollama_model("other", {"OLLAMA_MODELS": str(tmp_path)})


def test_what_cannot_be_read_to_an_end_is_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match="is no regular file"):
        model_at(tmp_path / "model.gguf")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "genai_config.json").write_text("{}")
    assert model_at(folder) == folder
    os.mkfifo(folder / "tokenizer.json")
    with pytest.raises(ModelError, match=r"tokenizer\.json is no regular file"):
        model_at(folder)
    (folder / "genai_config.json").unlink()
    os.mkfifo(folder / "genai_config.json")
    with pytest.raises(ModelError, match=r"genai_config\.json is no regular file"):
        read_facts(folder)


def test_no_store_of_ollamas_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no store of Ollama's in .*: OLLAMA_MODELS says where it is"):
        ollama_model("tiny", {"OLLAMA_MODELS": str(tmp_path / "none")})


def test_a_model_of_ollamas_is_imported_by_name(
    tmp_path: Path, gguf: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_ollama(gguf, tmp_path / "ollama", "registry.ollama.ai/library/tiny/latest", "ab12")
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    stored = ensure_model("ollama:tiny", store, progress=SilentProgress(), catalog={})
    assert stored.name.startswith("model-")
    assert (stored.folder / "genai_config.json").is_file()


def files(*names: str, content: str | bytes = "x") -> Callable[[Path, Path], Path]:
    """Makes files; gives the only one, or the folder of several."""

    def make(path: Path, _: Path) -> Path:
        for name in names:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return path / names[0] if len(names) == 1 else path

    return make


def configured(kind: str, *names: str, **config: object) -> Callable[[Path, Path], Path]:
    def make(path: Path, _: Path) -> Path:
        put(path, *names)
        put(path, "config.json", content=json.dumps({"model_type": kind, "vocab_size": 100, **config}))
        return path

    return make


def empty_folder(path: Path, _: Path) -> Path:
    (path / "empty").mkdir()
    return path / "empty"


def two_ggufs(path: Path, gguf: Path) -> Path:
    put_gguf(gguf, path / "one.gguf")
    put_gguf(gguf, path / "two.gguf")
    return path


def cut_gguf(path: Path, gguf: Path) -> Path:
    (path / "cut.gguf").write_bytes(gguf.read_bytes()[:-1000])
    return path / "cut.gguf"


def missing_part(path: Path, _: Path) -> Path:
    TinyGguf().write(path / "m.gguf", tensors_each=8)
    (path / "m-00002-of-00003.gguf").unlink()
    return path / "m-00001-of-00003.gguf"


def two_cached(path: Path, _: Path) -> Path:
    for name in ("A--One", "B--Two"):
        put_cached(path / f"models--{name}", "aaaa")
    return path


def two_of_ollamas(path: Path, gguf: Path) -> Path:
    for name in ("one", "two"):
        put_ollama(gguf, path, f"registry.ollama.ai/library/{name}/latest", name)
    return path


def unknown_family(path: Path, _: Path) -> Path:
    return TinyGguf("llama", metadata={"attention.head_count_kv": 3}).write(path / "m.gguf")


NO_MODEL = [
    ("nothing there", lambda path, _: path / "none.gguf", "there is no file or folder"),
    ("an empty folder", empty_folder, "no genai_config.json, no GGUF file, no config.json"),
    ("an empty file", files("m.gguf", content=""), "is empty: fetch it again"),
    ("a web page", files("m.gguf", content="<!DOCTYPE html><html>"), "is a web page: the download brought an answer"),
    ("a Git LFS pointer", files("m.gguf", content="version https://git-lfs.github.com/spec/v1"), "run `git lfs pull`"),
    ("old GGML", files("m.bin", content=b"lmgg\0\0"), "llama.cpp gave up for GGUF: look for a GGUF file"),
    ("old GGJT", files("m.bin", content=b"tjgg\3\0"), "llama.cpp gave up for GGUF: look for a GGUF file"),
    ("safetensors alone", files("m.safetensors"), "give its folder, or run `obeaver convert`"),
    ("a graph alone", files("model.onnx"), "is a graph alone: give its folder"),
    ("a graph's data", files("model.onnx.data"), "give its folder"),
    ("a configuration", files("config.json"), "is a configuration: give its folder"),
    ("a tokenizer", files("tokenizer.model"), "is a tokenizer: give the model's folder"),
    ("a template", files("chat_template.jinja"), "is a chat template: give the model's folder"),
    ("PyTorch weights", files("pytorch_model.bin"), "PyTorch wrote, which may run code"),
    ("a checkpoint file", files("model.ckpt"), "PyTorch wrote, which may run code"),
    ("Core ML", files("m.mlmodel"), "is for Core ML: look for a GGUF file"),
    ("TensorFlow Lite", files("m.tflite"), "is for TensorFlow Lite: look for a GGUF file"),
    ("MediaPipe", files("m.task"), "is for MediaPipe: look for a GGUF file"),
    ("a llamafile", files("m.llamafile"), "look for the GGUF file that it was made of"),
    ("an archive", files("m.zip", content=b"PK\3\4"), "is an archive: unpack it"),
    ("a packed file", files("m.gguf.gz", content=b"\x1f\x8b\x08"), "is packed with gzip: unpack it"),
    ("an unfinished download", files("m.gguf.part"), "is an unfinished download"),
    ("a text", files("notes.txt"), "is not a GGUF file: obeaver takes GGUF files and model folders"),
    ("a GGUF file that is cut off", cut_gguf, "the file ends at"),
    ("a part without the others", missing_part, "m-00002-of-00003.gguf is not beside it"),
    ("GGUF files that could all be meant", two_ggufs, "has several GGUF files: one.gguf"),
    ("a cache with several", two_cached, "Hugging Face's cache, with A/One, B/Two: choose one"),
    ("Ollama's store with several", two_of_ollamas, "choose one, ollama:one:latest"),
    ("a cached repository without a snapshot", lambda path, _: folder(path / "models--A--B"), "download did not end"),
    ("a checkpoint", configured("llama", "model.safetensors"), "which writes text: obeaver convert"),
    ("transformers.js without its tokenizer", configured("llama", "onnx/model_q4.onnx"), "tokenizer.json is missing"),
    ("a vision model's checkpoint", configured("llava", "model.safetensors"), "llava"),
    ("heads that do not divide", unknown_family, "4 query heads cannot share 3 key heads evenly"),
]


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(("what", "make", "says"), NO_MODEL, ids=[row[0] for row in NO_MODEL])
def test_what_is_no_model_is_told_with_what_helps(
    tmp_path: Path, gguf: Path, store: Store, what: str, make: Callable[[Path, Path], Path], says: str
) -> None:
    (place := tmp_path / "place").mkdir()
    asked = make(place, gguf)
    with pytest.raises(ModelError) as raised:
        ensure_model(str(asked), store, progress=SilentProgress(), catalog={})
    told = str(raised.value)
    assert says in told, what
    assert "\n" not in told


@pytest.mark.parametrize("head_dim", [40, 100])
def test_heads_of_unusual_widths_are_imported(tmp_path: Path, store: Store, head_dim: int) -> None:
    source = TinyGguf("qwen3", layers=1, hidden=256, head_dim=head_dim).write(tmp_path / "m.gguf")
    stored = ensure_model(str(source), store, progress=SilentProgress(), catalog={})
    assert (stored.folder / "model.onnx").is_file()


def test_an_encoder_with_a_graph_stays_one(tmp_path: Path, store: Store) -> None:
    put(tmp_path, "tokenizer.json", "onnx/model.onnx")
    put(tmp_path, "config.json", content=json.dumps(bert_config()))
    assert ensure_model(str(tmp_path), store, progress=SilentProgress(), catalog={}).folder == tmp_path.resolve()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("hf:a/b/c", "is no address of the hub: it is written hf:ORG/REPO"),
        ("https://huggingface.co/datasets/org/data", "is no page of a model: write hf:ORG/REPO"),
        ("https://huggingface.co/org/repo/discussions", "is no page of a model's files: write hf:org/repo"),
        ("http://example.org/m.gguf", "is not encrypted: add #sha256=HASH, or use https"),
        ("https://example.org/m.gguf#main", "after # only sha256=HASH can stand"),
        ("https:///m.gguf", "has no host"),
        ("https://example.org/m-00001-of-00003.gguf", "is one of 3 parts of a model: fetch all into a folder"),
        ("smolm2-135m", "did you mean smollm2-135m"),
        ("./smollm2-135m", "there is no file or folder ./smollm2-135m"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_with_what_helps(store: Store, address: str, says: str) -> None:
    with pytest.raises(ModelError) as raised:
        ensure_model(address, store, progress=SilentProgress())
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
