"""Imported tiny models against the independent forward pass."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper
from reference.forward import Reference
from reference.shared_buffers import Rows, open_session
from reference.tiny_gguf import ARCHITECTURES, FURTHER_TYPES, TYPES, TinyGguf
from support.notes import Notes

from obeaver.errors import ModelError
from obeaver.models.facts import read_facts
from obeaver.models.fidelity import folder_logits
from obeaver.models.gguf import import_gguf
from obeaver.models.gguf.quantize import BlockFormat, Quantised, dequantise
from obeaver.models.progress import SilentProgress

ImportTiny = Callable[..., Path]

# The logits of these models spread over about 1.6; summing float32 in another order moves them by 2e-5.
FLOAT_TOLERANCE = 2e-4


def logits(folder: Path, token_ids: list[int]) -> npt.NDArray[np.float32]:
    return np.concatenate(list(folder_logits(folder / "model.onnx", token_ids)))


def reference_logits(folder: Path, token_ids: list[int]) -> npt.NDArray[np.float32]:
    return Reference(folder.parent / "source.gguf").logits(token_ids)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kind", TYPES)
def test_float32_weights_give_the_references_logits(
    import_tiny: ImportTiny, token_ids: list[int], architecture: str, kind: str
) -> None:
    folder = import_tiny(TinyGguf(architecture, kind))
    assert np.abs(logits(folder, token_ids) - reference_logits(folder, token_ids)).max() < FLOAT_TOLERANCE


@pytest.mark.parametrize("kind", FURTHER_TYPES)
def test_types_that_files_of_few_bits_are_stored_in_give_the_references_logits(
    import_tiny: ImportTiny, token_ids: list[int], kind: str
) -> None:
    folder = import_tiny(TinyGguf(type=kind, layers=1))
    expected = reference_logits(folder, token_ids)
    assert np.isfinite(expected).all()
    assert np.abs(logits(folder, token_ids) - expected).max() < FLOAT_TOLERANCE


@pytest.mark.parametrize(
    "tiny",
    [
        TinyGguf(tied=False),
        TinyGguf(kv_heads=4),
        TinyGguf(kv_heads=1),
        TinyGguf("qwen3", head_dim=32, heads=4),
        TinyGguf(hidden=96, ffn=160, heads=3, kv_heads=1, head_dim=32),
        TinyGguf(metadata={"attention.sliding_window": 17}),
        TinyGguf(metadata={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
        TinyGguf(vectors={"rope_freqs.weight": np.linspace(1, 32, 32, dtype=np.float32)}),
        TinyGguf(biases=("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")),
        TinyGguf(biases=("attn_k", "ffn_up")),
    ],
    ids=[
        "head of its own",
        "no shared heads",
        "one key head",
        "heads narrower than their share",
        "odd sizes",
        "sliding window",
        "linear rope scaling",
        "rope factors",
        "biases everywhere",
        "biases in parts of fused matrices",
    ],
)
@pytest.mark.parametrize(("weights", "tolerance"), [("fp32", FLOAT_TOLERANCE), ("int8", 0.15)])
def test_every_feature_of_the_architecture_is_computed(
    import_tiny: ImportTiny, token_ids: list[int], tiny: TinyGguf, weights: str, tolerance: float
) -> None:
    folder = import_tiny(tiny, weights=weights)
    expected = reference_logits(folder, token_ids)
    error = logits(folder, token_ids) - expected
    assert error.std() < tolerance * expected.std()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("weights", "tolerance"), [("fp32", 0.001), ("int8", 0.01), ("int4", 0.1)])
def test_an_int8_cache_keeps_near_the_reference(
    import_tiny: ImportTiny, token_ids: list[int], architecture: str, weights: str, tolerance: float
) -> None:
    folder = import_tiny(TinyGguf(architecture, "Q4_K"), weights=weights, kv="int8")
    expected = reference_logits(folder, token_ids)
    assert (logits(folder, token_ids) - expected).std() < tolerance * expected.std()


@pytest.mark.parametrize("weights", ["fp32", "int8"])
@pytest.mark.parametrize(("start", "expected"), [(0, slice(0, None)), (-1, slice(-1, None)), (4, slice(4, None))])
def test_logits_are_given_from_the_position_asked_for(
    import_tiny: ImportTiny, token_ids: list[int], weights: str, start: int, expected: slice
) -> None:
    session = open_session(import_tiny(TinyGguf(), weights=weights))
    whole = Rows(session, 1, 100).run([token_ids], [100])[0]
    part = Rows(session, 1, 100).run([token_ids], [100], logits_from=start)[0]
    assert np.allclose(part, whole[expected], atol=1e-5)


def test_the_folder_says_what_it_is_and_how_it_was_made(import_tiny: ImportTiny) -> None:
    folder = import_tiny(TinyGguf(type="Q8_0"), weights="int8", kv="int8", measure=True)
    facts = read_facts(folder)
    assert (facts.name, facts.kind, facts.architecture, facts.provider) == ("tiny", "chat", "llama", "cpu")
    assert (facts.context_length, facts.vocab_size, facts.bos_id, facts.eos_ids) == (160, 288, 1, (2, 0))
    assert (facts.weights, facts.kv, facts.licence) == ("int8", "int8", "apache-2.0")
    assert facts.decoder_graph == folder / "model.onnx"
    assert facts.fidelity is not None
    assert facts.fidelity["num_tokens"] == 160
    record = json.loads((folder / "obeaver.json").read_text())
    assert record["source"]["file"] == "source.gguf"
    assert record["source"]["tensor_types"] == {"Q8_0": 15, "F32": 5}
    assert record["matrices"]["layers"] == {"bits": 8, "per": "row", "rotated": True}
    assert record["matrices"]["embedding"] == {"bits": 8, "block_size": 64, "symmetric": True}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_int4_keeps_what_q4_0_stored(import_tiny: ImportTiny, architecture: str) -> None:
    folder = import_tiny(TinyGguf(architecture, "Q4_0"), weights="int4")
    tensors = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(folder / "model.onnx").graph.initializer
    }
    source = Reference(folder.parent / "source.gguf").weights
    for part in ("qkv", "attn_output", "ffn_down"):
        pieces = (tensors[f"blk.1.{part}.{piece}"] for piece in ("packed", "scales", "zero_points"))
        expected = source["blk.1.attn_v.weight" if part == "qkv" else f"blk.1.{part}.weight"]
        found = dequantise(Quantised(*pieces), BlockFormat(4, 32), expected.shape[1])
        assert np.array_equal(found[-len(expected) :], expected)


def test_values_that_no_four_bits_hold_stand_in_int8(import_tiny: ImportTiny) -> None:
    folder = import_tiny(TinyGguf(type="Q4_0", types={"attn_v": "Q8_0"}), weights="int4")
    nodes = onnx.load(folder / "model.onnx", load_external_data=False).graph.node
    bits = {node.name: a.i for node in nodes for a in node.attribute if a.name == "bits"}
    assert (bits["blk.1.qkv.0"], bits["blk.1.qkv.1"], bits["blk.1.attn_output"]) == (4, 8, 4)


def test_the_sources_own_weights_need_no_measuring(import_tiny: ImportTiny) -> None:
    assert read_facts(import_tiny(TinyGguf(), measure=True)).fidelity is None


def test_nothing_is_measured_unless_asked(import_tiny: ImportTiny) -> None:
    assert read_facts(import_tiny(TinyGguf(), weights="int8", kv="int8")).fidelity is None


def test_measuring_changes_nothing_of_the_result(import_tiny: ImportTiny) -> None:
    data = []
    for measure in (False, True):
        folder = import_tiny(TinyGguf(), weights="int8", kv="int8", measure=measure)
        data.append([(folder / name).read_bytes() for name in ("model.onnx", "model.onnx.data")])
        shutil.rmtree(folder)
    assert data[0] == data[1]


@pytest.mark.parametrize(
    "tiny", [TinyGguf(context=1 << 20), TinyGguf("olmo2"), TinyGguf("qwen3moe", experts=4, layers=1)]
)
@pytest.mark.parametrize("weights", ["int8", "int4", "fp32"])
def test_one_thread_or_several_import_the_same(
    import_tiny: ImportTiny, monkeypatch: pytest.MonkeyPatch, tiny: TinyGguf, weights: str
) -> None:
    data = []
    for threads in (1, 2, 5):
        for module in ("importer", "streamed"):
            monkeypatch.setattr(f"obeaver.models.gguf.{module}.default_threads", lambda threads=threads: threads)
        folder = import_tiny(tiny, weights=weights, kv="int8")
        data.append([(folder / name).read_bytes() for name in ("model.onnx", "model.onnx.data")])
        shutil.rmtree(folder)
    assert data[0] == data[1] == data[2]


@pytest.mark.parametrize(
    ("context", "asked", "expected"),
    [(1 << 20, None, 131072), (1 << 20, 300_000, 300_000), (4096, 100, 100), (4096, 5000, 4096), (4096, None, 4096)],
)
def test_tables_are_for_the_context_that_is_asked_for(
    tmp_path: Path, context: int, asked: int | None, expected: int
) -> None:
    source, folder = TinyGguf(layers=1, context=context).write(tmp_path / "source.gguf"), tmp_path / "folder"
    folder.mkdir()
    notes = Notes()
    import_gguf(source, folder, weights="int8", kv="int8", name="x", context=asked, progress=notes)
    assert read_facts(folder).context_length == expected
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    assert {tuple(tensor.dims) for tensor in graph.initializer if tensor.name in ("cos", "sin")} == {(expected, 32)}
    assert notes.texts == (
        ["imported for 131,072 tokens; the model can use 1,048,576: import it with --context 1048576 to have them all"]
        if (context, asked) == (1 << 20, None)
        else []
    )


def test_a_short_context_is_calibrated_like_a_long_one(import_tiny: ImportTiny, tmp_path: Path) -> None:
    long = import_tiny(TinyGguf(context=2048), weights="int8", kv="int8")
    short = tmp_path / "short"
    short.mkdir()
    silent = SilentProgress()
    import_gguf(tmp_path / "source.gguf", short, weights="int8", kv="int8", name="x", context=64, progress=silent)
    tensors = [
        {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(folder / "model.onnx").graph.initializer}
        for folder in (long, short)
    ]
    names = set(tensors[0]) - {"cos", "sin"}
    assert names
    assert all(np.array_equal(tensors[0][name], tensors[1][name]) for name in names)


@pytest.mark.parametrize("weights", ["int8", "int4", "fp32"])
@pytest.mark.parametrize("tiny", [TinyGguf(), TinyGguf(tied=False), TinyGguf("qwen3moe", experts=4)])
def test_the_bar_ends_where_it_says(tmp_path: Path, tiny: TinyGguf, weights: str) -> None:
    source, folder = tiny.write(tmp_path / "source.gguf"), tmp_path / "folder"
    folder.mkdir()
    notes = Notes()
    import_gguf(source, folder, weights=weights, kv="int8", name="x", measure=True, progress=notes)
    assert [title for title, *_ in notes.stages] == ["convert" if weights == "fp32" else "quantise", "measure"]
    assert all(total == done for _, total, _, done in notes.stages)


@pytest.mark.parametrize(("weights", "kv"), [("int3", "int8"), ("int8", "float8")])
def test_an_unknown_format_is_refused(tmp_path: Path, weights: str, kv: str) -> None:
    with pytest.raises(ModelError, match="there is no import with weights"):
        import_gguf(tmp_path / "x.gguf", tmp_path, weights=weights, kv=kv, name="x", progress=SilentProgress())


def test_more_tokens_than_embeddings_are_refused(import_tiny: ImportTiny) -> None:
    with pytest.raises(ModelError, match="it has 289 tokens and embeddings for 288 only"):
        import_tiny(TinyGguf(tokens=289))


def test_fewer_tokens_than_embeddings_are_padding(import_tiny: ImportTiny) -> None:
    assert read_facts(import_tiny(TinyGguf(tokens=270))).vocab_size == 288


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    source = TinyGguf().write(tmp_path / "source.gguf")
    with pytest.raises(ModelError, match="cannot be written: No such file or directory"):
        import_gguf(source, tmp_path / "gone", weights="fp32", kv="float32", name="x", progress=SilentProgress())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("weights", ["int8", "int4", "fp32"])
def test_a_full_disk_is_said(tmp_path: Path, weights: str) -> None:
    source, folder = TinyGguf().write(tmp_path / "source.gguf"), tmp_path / "folder"
    folder.mkdir()
    (folder / "model.onnx.data").symlink_to("/dev/full")
    with pytest.raises(ModelError, match="cannot be written: No space left on device"):
        import_gguf(source, folder, weights=weights, kv="int8", name="x", progress=SilentProgress())
