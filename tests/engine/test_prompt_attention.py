"""Attention in float32 over an int8 cache gives what the attention gives that stands in the graph."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.tiny_decoder import TinyDecoder

from obeaver.allocator import trim
from obeaver.engine.runners import prompt_attention
from obeaver.engine.runners.ort_runner import open_ort_runner
from obeaver.engine.runners.prompt_attention import inputs_for, leaves_one_alone, with_prompt_attention
from obeaver.engine.runners.runner import KvShape
from obeaver.engine.sessions.ort_session import open_session
from obeaver.engine.sessions.providers import CPU, choose_provider

HEADS, KV_HEADS, SIZE, ROOM = 6, 2, 32, 96
PAST, NEW = 40, 23

KINDS: dict[str, dict[str, Any]] = {
    "packed": {},
    "apart": {"packed": False},
    "one step for all": {"per_tensor": True},
    "unturned": {"do_rotary": 0},
    "partly turned": {"turned": 16},
    "interleaved": {"rotary_interleaved": 1},
    "apart, partly turned": {"packed": False, "turned": 16},
    "scaled": {"scale": 0.1},
    "capped": {"softcap": 5.0},
    "windowed": {"local_window_size": 9},
    "with sinks": {"sinks": True},
}

Array = npt.NDArray[Any]


def attention_graph(
    folder: Path, *, packed: bool = True, per_tensor: bool = False, turned: int = SIZE, sinks: bool = False, **more: Any
) -> Path:
    """One attention and what it reads, as a decoder names it."""
    rng = np.random.default_rng(2)
    attributes = {"num_heads": HEADS, "kv_num_heads": KV_HEADS, "do_rotary": 1, "kv_cache_bit_width": 8} | more
    kind = "PER_TENSOR" if per_tensor else "PER_CHANNEL"
    steps = (1,) if per_tensor else (1, KV_HEADS, 1, SIZE)
    angles = np.outer(np.arange(128), 50.0 ** -np.linspace(0, 1, turned // 2))
    constants = {
        "cos": np.cos(angles),
        "sin": np.sin(angles),
        "key_scale": rng.uniform(0.02, 0.04, steps),
        "value_scale": rng.uniform(0.02, 0.04, steps),
        "sinks": rng.normal(size=HEADS),
    }
    whole, part = HEADS * SIZE, KV_HEADS * SIZE
    sizes = {"query": whole + 2 * part} if packed else {"query": whole, "key": part, "value": part}
    tokens = [helper.make_tensor_value_info(name, 1, ["batch", "tokens", size]) for name, size in sizes.items()]
    caches = [f"past_key_values.0.{which}" for which in ("key", "value")]
    cache = [helper.make_tensor_value_info(name, 3, ["batch", KV_HEADS, "room", SIZE]) for name in caches]
    lengths = [helper.make_tensor_value_info("last", 6, ["batch"]), helper.make_tensor_value_info("total", 6, [])]
    inputs = [*sizes, *[""] * (3 - len(sizes)), *caches, "last", "total", "cos", "sin"]
    inputs = [*inputs, "", "", "sinks" if sinks else "", "key_scale", "value_scale"]
    node = helper.make_node(
        "GroupQueryAttention",
        inputs,
        ["logits", "present.0.key", "present.0.value"],
        domain="com.microsoft",
        k_quant_type=kind,
        v_quant_type=kind,
        **attributes,
    )
    outputs = [
        helper.make_tensor_value_info("logits", 1, ["batch", "tokens", whole]),
        *[
            helper.make_tensor_value_info(f"present.0.{w}", 3, ["batch", KV_HEADS, "room", SIZE])
            for w in ("key", "value")
        ],
    ]
    tensors = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()]
    graph = helper.make_graph([node], "attention", [*tokens, *cache, *lengths], outputs, initializer=tensors)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=opsets), path)
    return path


def attend(session: Any, feeds: dict[str, Array]) -> list[Array]:
    """What new tokens attend to, and the caches, written in place."""
    caches = {name: array.copy() for name, array in feeds.items() if name.startswith("past")}
    attended = np.empty((1, NEW, HEADS * SIZE), np.float32)
    binding = session.io_binding()
    for name, array in (feeds | caches).items():
        binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    written = list(caches.values())
    for name, array in zip(("logits", "present.0.key", "present.0.value"), (attended, *written), strict=True):
        binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    session.run_with_iobinding(binding)
    return [attended, *written]


def feeds_of(names: list[str]) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    sizes = {"query": HEADS * SIZE, "key": KV_HEADS * SIZE, "value": KV_HEADS * SIZE}
    if "key" not in names:
        sizes = {"query": sum(sizes.values())}
    feeds: dict[str, Array] = {n: rng.normal(size=(1, NEW, size)).astype(np.float32) for n, size in sizes.items()}
    for which in ("key", "value"):
        feeds[f"past_key_values.0.{which}"] = rng.integers(-90, 90, (1, KV_HEADS, ROOM, SIZE)).astype(np.int8)
    return feeds | {"last": np.array([PAST + NEW - 1], np.int32), "total": np.array(ROOM, np.int32)}


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_give_the_same(tmp_path: Path, kind: str) -> None:
    graph = attention_graph(tmp_path, **KINDS[kind])
    edited = with_prompt_attention(graph)
    assert edited is not None
    session, _ = open_session(graph, ort.SessionOptions(), choose_provider(CPU), edited=edited)
    names = [tensor.name for tensor in session.get_inputs()]
    feeds = feeds_of(names)
    as_it_was = attend(session, feeds | inputs_for(KV_HEADS))
    in_float = attend(session, feeds | inputs_for(KV_HEADS, range(PAST, PAST + NEW)))
    np.testing.assert_allclose(in_float[0], as_it_was[0], atol=2e-5)
    for written, expected in zip(in_float[1:], as_it_was[1:], strict=True):
        assert np.array_equal(written, expected)
        assert (written[:, :, PAST : PAST + NEW] != feeds["past_key_values.0.key"][:, :, PAST : PAST + NEW]).any()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"kv_cache_bit_width": 4}, id="half bytes"),
        pytest.param({"sliding_window_cache": 1}, id="a cache that forgets"),
    ],
)
def test_attention_of_another_kind_stays_as_it_is(tmp_path: Path, change: dict[str, Any]) -> None:
    assert with_prompt_attention(attention_graph(tmp_path, **change)) is None


def test_a_graph_that_computes_in_halves_stays_as_it_is(tmp_path: Path) -> None:
    graph = attention_graph(tmp_path)
    model = onnx.load(graph)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, graph)
    assert with_prompt_attention(graph) is None


@pytest.mark.parametrize(
    ("cache", "head_size", "alone"),
    [
        (2 << 20, 64, {1, 129, 257}),
        (512 << 10, 96, {1, 171}),
        (1 << 20, 256, {1, 129, 257}),
        (None, 64, {1, 17, 33, 129, 257}),
    ],
)
def test_a_token_that_its_block_would_leave_alone_is_known(
    monkeypatch: pytest.MonkeyPatch, cache: int | None, head_size: int, alone: set[int]
) -> None:
    monkeypatch.setattr(prompt_attention, "level_2_cache", lambda: cache)
    assert all(leaves_one_alone(num_tokens, head_size) for num_tokens in alone)
    assert not any(leaves_one_alone(num_tokens, head_size) for num_tokens in (2, 16, 32, 128, 256))


def test_where_nobody_knows_the_second_cache_all_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_attention, "level_2_cache", lambda: 0)
    assert with_prompt_attention(attention_graph(tmp_path)) is None


def test_the_past_that_was_taken_apart_leaves_no_memory_behind(tmp_path: Path) -> None:
    wide = TinyDecoder(layers=2, heads=32, kv_heads=32, head_dim=64, context=4_096, kv="int8", logits_from=True)
    runner = open_ort_runner(wide.write(tmp_path), context_length=4_096)
    runner.resize(KvShape(1, 3_000))
    process = psutil.Process()
    before = process.memory_info().rss
    for start in range(0, 2_816, 256):
        runner.prefill(0, [5] * 256, start, want_logits=False)
    trim()
    kept = runner.info.kv_bytes_per_token * 2_816
    # Keys and values of a layer take 46 MB as floats, and once more with what is new.
    assert process.memory_info().rss - before - kept < 40_000_000
