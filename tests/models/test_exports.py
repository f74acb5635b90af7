"""LLM folders as transformers.js has them become models: the same tokens as from a folder for onnxruntime-genai."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.exported_decoder import TEMPLATE, their_config, write_export
from support.small_tokenizers import byte_level_metadata
from support.tiny_decoder import TinyDecoder

from obeaver.app.chat_engine import open_runner
from obeaver.config import Settings
from obeaver.engine.runners.runner import KvShape, Runner
from obeaver.errors import ModelError
from obeaver.models.exports import files_beside, graph_among, variant_of
from obeaver.models.facts import read_facts
from obeaver.models.gguf.vocabulary import write_tokenizer
from obeaver.models.progress import SilentProgress
from obeaver.models.pull import ensure_model, import_file
from obeaver.models.sources.hub_choice import choose
from obeaver.models.store import Store, StoredModel

PROMPT = [int(i) for i in np.random.default_rng(1).integers(3, 250, 23)]
BUILT = TinyDecoder(weights="float32", vocab=300)
PLAIN = TinyDecoder(weights="float32", vocab=300, attention="plain", position_ids=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def served(asked: Path | str, store: Store) -> StoredModel:
    return ensure_model(str(asked), store, progress=SilentProgress(), catalog={})


def in_its_own_layout(folder: Path) -> Path:
    """The same decoder as a folder for onnxruntime-genai."""
    folder.mkdir()
    BUILT.write(folder)
    write_tokenizer(byte_level_metadata(), folder)
    return folder


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Runner, list[str]]]:
    reasons: list[str] = []
    with closing(open_runner(read_facts(folder), Settings(threads=1), reasons)) as runner:
        runner.resize(KvShape(1, 64))
        yield runner, reasons


def likeliest(folder: Path, count: int = 12) -> list[int]:
    """What a greedy reader writes after the prompt."""
    with opened(folder) as (runner, _):
        logits = runner.prefill(0, PROMPT, 0, want_logits=True)
        assert logits is not None
        found = [int(np.argmax(logits))]
        while len(found) < count:
            found.append(int(np.argmax(runner.decode([found[-1]], [len(PROMPT) + len(found) - 1])[0])))
    return found


@pytest.mark.parametrize(("decoder", "runner"), [(BUILT, "straight on onnxruntime"), (PLAIN, "its graph has no Group")])
@pytest.mark.parametrize("data", [False, True])
def test_tokens_are_those_of_the_model_in_its_own_layout(
    tmp_path: Path, store: Store, decoder: TinyDecoder, runner: str, data: bool
) -> None:
    own = in_its_own_layout(tmp_path / "own")
    stored = served(write_export(tmp_path / "A-B-ONNX", decoder, "model_q4.onnx", data=data), store)
    assert likeliest(stored.folder) == likeliest(own)
    with opened(stored.folder) as (_, reasons):
        assert runner in reasons[-1]


def test_a_type_that_onnxruntime_genai_does_not_know_is_run_as_any_decoder(tmp_path: Path, store: Store) -> None:
    known = served(write_export(tmp_path / "known", PLAIN, "model.onnx"), store)
    other = served(write_export(tmp_path / "other", PLAIN, "model.onnx", model_type="glm4"), store)
    assert read_facts(other.folder).architecture == "decoder"
    assert likeliest(other.folder) == likeliest(known.folder)


def test_what_the_folder_says_is_what_the_model_has(tmp_path: Path, store: Store) -> None:
    folder = write_export(tmp_path / "Model-ONNX", PLAIN, "model_q4.onnx")
    stored = served(folder, store)
    facts = read_facts(stored.folder)
    assert stored.name.startswith("model-onnx-q4-")
    assert (facts.context_length, facts.vocab_size, facts.head_size) == (PLAIN.context, PLAIN.vocab, PLAIN.head_dim)
    assert (facts.eos_ids, facts.bos_id) == ((1, 2), 1)
    assert (facts.chat_template, facts.tool_dialect) == (TEMPLATE, None)
    assert facts.kv_bytes_per_token == 2 * 4 * PLAIN.layers * PLAIN.kv_heads * PLAIN.head_dim
    described = json.loads((stored.folder / "genai_config.json").read_text())
    assert "position_ids" in described["model"]["decoder"]["inputs"]
    assert described["search"]["past_present_share_buffer"] is False
    assert (folder / "config.json").is_file()


def test_the_graph_that_suits_a_cpu_is_taken_and_another_by_its_path(tmp_path: Path, store: Store) -> None:
    folder = write_export(tmp_path / "m", BUILT, "model.onnx", "model_fp16.onnx", "model_q4.onnx")
    assert sorted(path.name for path in (served(folder, store).folder / "onnx").iterdir()) == ["model_q4.onnx"]
    other = served(folder / "onnx" / "model.onnx", store)
    assert sorted(path.name for path in (other.folder / "onnx").iterdir()) == ["model.onnx"]
    assert other.name.startswith("m-fp32-")


def test_the_same_folder_is_the_same_model_until_it_changes(tmp_path: Path, store: Store) -> None:
    folder = write_export(tmp_path / "m", BUILT, "model_q4.onnx")
    first = served(folder, store)
    assert served(folder, store).folder == first.folder
    (folder / "config.json").write_text(json.dumps(their_config(BUILT, max_position_embeddings=64)))
    second = served(folder, store)
    assert second.name != first.name
    assert read_facts(second.folder).context_length == 64


def test_the_model_outlives_the_folder_and_a_damaged_one_is_made_anew_from_it(tmp_path: Path, store: Store) -> None:
    folder = write_export(tmp_path / "m", BUILT, "model_q4.onnx")
    stored = served(folder, store)
    (stored.folder / "tokenizer.json").unlink()
    assert (served(stored.name, store).folder / "tokenizer.json").is_file()
    before = likeliest(stored.folder)
    shutil.rmtree(folder)
    assert likeliest(served(stored.name, store).folder) == before


def test_files_of_a_hubs_cache_are_links_and_are_followed(tmp_path: Path, store: Store) -> None:
    blobs = write_export(tmp_path / "blobs", BUILT, "model_q4.onnx", data=True)
    snapshot = tmp_path / "models--A--B" / "snapshots" / "aaaa"
    for path in blobs.rglob("*"):
        if path.is_file():
            place = snapshot / path.relative_to(blobs)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)
    stored = served(tmp_path / "models--A--B", store)
    assert not any(path.is_symlink() for path in stored.folder.rglob("*"))
    own = in_its_own_layout(tmp_path / "own")
    assert likeliest(stored.folder) == likeliest(own)


def test_an_import_says_that_none_is_needed(tmp_path: Path, store: Store) -> None:
    folder = write_export(tmp_path / "m", BUILT, "model_q4.onnx")
    with pytest.raises(ModelError, match="needs no import"):
        import_file(folder / "onnx" / "model_q4.onnx", store, progress=SilentProgress())


def edited(folder: Path, change: Any) -> Path:
    """The same folder with another graph."""
    path = folder / "onnx" / "model_q4.onnx"
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    return folder


def with_input(name: str) -> Any:
    return lambda graph: graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.BOOL, [1]))


def without_cache(graph: Any) -> None:
    for values in (graph.input, graph.output):
        kept = [value for value in values if "past" not in value.name and "present" not in value.name]
        del values[:]
        values.extend(kept)


def without_logits(graph: Any) -> None:
    next(value for value in graph.output if value.name == "logits").name = "scores"


REFUSED = [
    (with_input("use_cache_branch"), {}, "is two graphs in one, as transformers.js 2 had them; look for a GGUF file"),
    (with_input("inputs_embeds"), {}, "takes embeddings in place of tokens"),
    (with_input("past_conv.0"), {}, "has an input past_conv.0; look for a GGUF file"),
    (without_cache, {}, "keeps no keys and values"),
    (without_logits, {}, "has no logits"),
    (lambda graph: None, {"eos_token_id": "2"}, None),
    (lambda graph: None, {"vocab_size": 0}, "vocab_size must be a whole number above 0"),
    (lambda graph: None, {"max_position_embeddings": None}, "max_position_embeddings must be a whole number above 0"),
    (lambda graph: None, {"model_type": None}, "model_type must be a string"),
]


@pytest.mark.parametrize(("change", "config", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_run_is_refused_in_one_line(
    tmp_path: Path, store: Store, change: Any, config: dict[str, Any], says: str | None
) -> None:
    folder = edited(write_export(tmp_path / "m", BUILT, "model_q4.onnx", **config), change)
    if says is None:  # the generation's configuration counts
        assert read_facts(served(folder, store).folder).eos_ids == (1, 2)
        return
    with pytest.raises(ModelError) as raised:
        served(folder, store)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert store.list() == []


@pytest.mark.parametrize("name", ["tokenizer.json", "onnx/model_q4.onnx"])
def test_a_missing_or_broken_file_is_named(tmp_path: Path, store: Store, name: str) -> None:
    folder = write_export(tmp_path / "m", BUILT, "model_q4.onnx")
    (folder / name).unlink() if name == "tokenizer.json" else (folder / name).write_bytes(b"\xff" * 64)
    with pytest.raises(ModelError, match=r"tokenizer.json is missing|model_q4.onnx cannot be read"):
        served(folder, store)


FILES = {
    "config.json": 1,
    "generation_config.json": 1,
    "tokenizer.json": 1,
    "chat_template.jinja": 1,
    "README.md": 1,
    "onnx/model.onnx": 10,
    "onnx/model_fp16.onnx": 10,
    "onnx/model_fp16.onnx_data": 100,
    "onnx/model_q4.onnx": 10,
    "onnx/model_q4.onnx_data": 100,
    "onnx/model_q4.onnx_data_1": 100,
}
SMALL = {"config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"}


@pytest.mark.parametrize(
    ("asked", "graph"),
    [(None, "onnx/model_q4.onnx"), ("onnx/model_fp16.onnx", "onnx/model_fp16.onnx")],
)
def test_of_a_repository_one_graph_is_fetched_with_its_data(asked: str | None, graph: str) -> None:
    choice = choose("A/B-ONNX", FILES, asked, lambda _: their_config(BUILT))
    data = {name for name in FILES if name.startswith(f"{graph}_data")}
    assert (choice.form, choice.base) == ("folder", graph)
    assert set(choice.paths) == SMALL | {graph} | data


def test_names_of_graphs_tell_their_formats() -> None:
    names = ["onnx/model.onnx", "onnx/model_q4f16.onnx", "model.onnx", "onnx/model_quantized.onnx", "a.json"]
    assert graph_among(names) == "onnx/model_quantized.onnx"
    assert graph_among(["onnx/decoder_model_merged.onnx"]) is None
    assert [variant_of(name) for name in names[:2]] == ["fp32", "q4f16"]
    assert files_beside("onnx/model.onnx", names) == ["a.json", "onnx/model.onnx"]
