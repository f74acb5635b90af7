"""The runner on tiny decoders with random weights. Equal means equal to the bit unless a test says otherwise."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.tiny_decoder import TinyDecoder

from obeaver.engine.runners.genai_runner import open_genai_runner
from obeaver.engine.runners.ort_runner import OrtRunner, SessionChoices, open_ort_runner
from obeaver.engine.runners.runner import KvShape, Logits
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.errors import EngineFailed

VOCAB = 320
CONTEXT = 256
PROMPT = [int(i) for i in np.random.default_rng(1).integers(3, VOCAB, 300)]

KINDS = {
    "int8-kv": TinyDecoder(context=CONTEXT, kv="int8", logits_from=True),
    "float-kv": TinyDecoder(context=CONTEXT, logits_from=True),
    "float-weights": TinyDecoder(context=CONTEXT, weights="float32", logits_from=True),
    "half": TinyDecoder(context=CONTEXT, activations="float16", kv="float16"),
    "whole-head": TinyDecoder(context=CONTEXT),
    "pruned-head": TinyDecoder(context=CONTEXT, pruned_head=True),
    "pruned-head-int8-kv": TinyDecoder(context=CONTEXT, pruned_head=True, kv="int8"),
    "position-ids": TinyDecoder(context=CONTEXT, position_ids=True, fused_qkv=False),
    "window": TinyDecoder(context=CONTEXT, window=24, kv="int8"),
    "window-float-kv": TinyDecoder(context=CONTEXT, window=24),
    "window-cache": TinyDecoder(context=CONTEXT, window=24, window_cache=True),
    "window-cache-int8-kv": TinyDecoder(context=CONTEXT, window=24, window_cache=True, kv="int8"),
    "wide-window-cache": TinyDecoder(context=CONTEXT, window=200, window_cache=True),
}

Open = Callable[[TinyDecoder], OrtRunner]


@pytest.fixture
def open_tiny(tmp_path: Path) -> Open:
    def open_runner(tiny: TinyDecoder) -> OrtRunner:
        runner = open_ort_runner(tiny.write(tmp_path), context_length=CONTEXT, threads=2)
        runner.resize(KvShape(4, 160))
        return runner

    return open_runner


@pytest.fixture(params=KINDS)
def runner(request: pytest.FixtureRequest, open_tiny: Open) -> OrtRunner:
    kind: str = request.param
    return open_tiny(KINDS[kind])


def prefill(runner: OrtRunner, row: int, token_ids: list[int], chunk: int = 1000, start: int = 0) -> Logits:
    for at in range(start, start + len(token_ids), chunk):
        piece = token_ids[at - start : at - start + chunk]
        is_last = at + len(piece) == start + len(token_ids)
        logits = runner.prefill(row, piece, at, want_logits=is_last)
        assert (logits is not None) is is_last
    assert logits is not None
    return logits.copy()


def decode_alone(runner: OrtRunner, token_ids: list[int], length: int) -> Logits:
    for place, token_id in enumerate(token_ids, start=length):
        logits: Logits = runner.decode([token_id], [place])[0].copy()
    return logits


@pytest.mark.parametrize("chunk", [1, 2, 7, 32, 99])
def test_a_prompt_gives_the_same_logits_however_it_is_cut(runner: OrtRunner, chunk: int) -> None:
    whole = prefill(runner, 0, PROMPT[:100])
    assert np.array_equal(prefill(runner, 1, PROMPT[:100], chunk), whole)
    assert np.array_equal(decode_alone(runner, PROMPT[100:105], 100), _after(runner, 1, PROMPT[100:105], 100))


def _after(runner: OrtRunner, row: int, token_ids: list[int], length: int) -> Logits:
    """What follows these tokens in another row, decoded beside row 0."""
    runner.move_row(row, 0, length)
    return decode_alone(runner, token_ids, length)


def test_a_prompt_of_one_token_gives_the_same_logits_in_any_row(runner: OrtRunner) -> None:
    assert np.array_equal(prefill(runner, 0, PROMPT[:1]), prefill(runner, 3, PROMPT[:1]))


def test_rows_of_different_lengths_decode_as_if_alone(runner: OrtRunner) -> None:
    lengths = [3, 120, 41, 77]
    for row, length in enumerate(lengths):
        prefill(runner, row, PROMPT[row : row + length])
    together = [runner.decode([9, 8, 7, 6], [length + step for length in lengths]).copy() for step in range(3)]
    for row, length in enumerate(lengths):
        prefill(runner, 0, PROMPT[row : row + length])
        for step in range(3):
            assert np.array_equal(runner.decode([9 - row], [length + step])[0], together[step][row])


def test_a_prefill_between_two_steps_leaves_the_other_rows_alone(runner: OrtRunner) -> None:
    prefill(runner, 0, PROMPT[:50])
    expected = decode_alone(runner, [5, 6], 50)
    prefill(runner, 0, PROMPT[:50])
    runner.decode([5], [50])
    prefill(runner, 1, PROMPT[:90])
    assert np.array_equal(runner.decode([6, 7], [51, 90])[0], expected)


def test_a_row_is_reused_without_a_trace(runner: OrtRunner) -> None:
    first = prefill(runner, 0, PROMPT[:30])
    prefill(runner, 0, PROMPT[150:290])
    runner.release_row(0)
    assert np.array_equal(prefill(runner, 0, PROMPT[:30]), first)


def test_a_moved_row_goes_on_where_it_was(runner: OrtRunner) -> None:
    prefill(runner, 0, PROMPT[:60])
    expected = decode_alone(runner, [5], 60)
    prefill(runner, 3, PROMPT[:60])
    prefill(runner, 0, PROMPT[100:220])
    runner.move_row(3, 0, 60)
    assert np.array_equal(decode_alone(runner, [5], 60), expected)


@pytest.mark.parametrize("longer", [0, 1])
def test_rows_that_changed_go_on_where_they_were(runner: OrtRunner, longer: int) -> None:
    prefill(runner, 0, PROMPT[:60])
    expected = decode_alone(runner, [5], 60)
    lengths = [20, 20]
    lengths[longer] = 60
    for row, length in enumerate(lengths):
        prefill(runner, row, PROMPT[:length])
    runner.swap_rows(0, 1, *lengths)
    assert np.array_equal(prefill(runner, longer, PROMPT[20:40], start=20), prefill(runner, 2, PROMPT[:40]))
    if longer == 0:
        runner.move_row(1, 0, 60)
    assert np.array_equal(decode_alone(runner, [5], 60), expected)


@pytest.mark.parametrize("shape", [KvShape(8, 160), KvShape(2, 160), KvShape(4, 250), KvShape(2, 128)])
def test_buffers_of_another_shape_hold_what_they_held(runner: OrtRunner, shape: KvShape) -> None:
    prefill(runner, 1, PROMPT[:60])
    runner.move_row(1, 0, 60)
    expected = decode_alone(runner, [5], 60)
    runner.resize(shape)
    assert np.array_equal(decode_alone(runner, [5], 60), expected)


def test_buffers_of_another_shape_hold_as_many_tokens_as_they_are_told(runner: OrtRunner) -> None:
    prefill(runner, 0, PROMPT[:60])
    expected = decode_alone(runner, [5], 60)
    prefill(runner, 1, PROMPT[:90])
    runner.resize(KvShape(8, 250), [60, 40])
    assert np.array_equal(decode_alone(runner, [5], 60), expected)
    assert np.array_equal(prefill(runner, 1, PROMPT[40:90], start=40), prefill(runner, 2, PROMPT[:90]))


def test_a_row_may_be_filled_to_its_last_place(runner: OrtRunner) -> None:
    runner.resize(KvShape(1, 64))
    whole = prefill(runner, 0, PROMPT[:64])
    assert np.array_equal(prefill(runner, 0, PROMPT[:64], 63), whole)


def test_a_row_may_hold_the_whole_context(runner: OrtRunner) -> None:
    runner.resize(KvShape(2, CONTEXT))
    whole = prefill(runner, 0, PROMPT[: CONTEXT - 1])
    expected = decode_alone(runner, [5], CONTEXT - 1)
    assert np.array_equal(prefill(runner, 0, PROMPT[: CONTEXT - 1], CONTEXT - 2), whole)
    assert np.array_equal(decode_alone(runner, [5], CONTEXT - 1), expected)


@pytest.mark.parametrize("kind", ["int8-kv", "float-kv", "half", "position-ids", "window", "wide-window-cache"])
def test_keys_and_values_that_are_put_back_go_on_as_if_computed(open_tiny: Open, kind: str) -> None:
    runner = open_tiny(KINDS[kind])
    whole = prefill(runner, 0, PROMPT[:100])
    kept = runner.read_kv(0, 0, 99)
    assert kept.shape == (2, 2, 2, 99, 16)
    assert kept.nbytes == runner.info.kv_bytes_per_token * 99
    prefill(runner, 0, PROMPT[100:200])
    runner.write_kv(2, 0, kept[:, :, :, :40])
    runner.write_kv(2, 40, kept[:, :, :, 40:])
    assert np.array_equal(runner.read_kv(2, 0, 99), kept)
    assert np.array_equal(prefill(runner, 2, PROMPT[99:100], start=99), whole)


@pytest.mark.parametrize("chunk", [1, 7, 40])
@pytest.mark.parametrize("kind", ["int8-kv", "pruned-head-int8-kv", "window", "window-cache-int8-kv"])
def test_over_an_int8_cache_several_tokens_are_decoded_at_once_as_one_by_one(
    open_tiny: Open, kind: str, chunk: int
) -> None:
    runner = open_tiny(KINDS[kind])
    assert runner.info.decodes_ahead
    for row in (0, 1):
        prefill(runner, row, PROMPT[:60])
    for at in range(60, 100, chunk):
        logits = runner.prefill(1, PROMPT[at : min(at + chunk, 100)], at, want_logits=True, decoded=True)
    assert logits is not None
    assert np.array_equal(logits.copy(), decode_alone(runner, PROMPT[60:100], 60))
    assert np.array_equal(runner.read_kv(0, 0, 100), runner.read_kv(1, 0, 100))


def test_a_pruned_head_over_an_int8_cache_decodes_as_it_prefills(open_tiny: Open) -> None:
    runner = open_tiny(KINDS["pruned-head-int8-kv"])
    assert runner.info.decodes_as_prefill
    whole = prefill(runner, 1, PROMPT[:100])
    prefill(runner, 0, PROMPT[:60])
    assert np.array_equal(decode_alone(runner, PROMPT[60:100], 60), whole)


def test_a_float_cache_with_a_pruned_head_has_no_copies(open_tiny: Open) -> None:
    info = open_tiny(KINDS["pruned-head"]).info
    assert (info.can_copy_kv, info.decodes_as_prefill) == (False, False)


def test_the_logits_are_those_of_onnxruntime_genai(tmp_path: Path) -> None:
    tiny = KINDS["position-ids"]
    graph = tiny.write(tmp_path)
    ours = open_ort_runner(graph, context_length=128)
    theirs = open_genai_runner(tmp_path, context_length=128, vocab_size=tiny.vocab)
    for runner in (ours, theirs):
        runner.resize(KvShape(1, 128))
    expected = theirs.prefill(0, PROMPT[:50], 0, want_logits=True)
    assert expected is not None
    assert np.allclose(prefill(ours, 0, PROMPT[:50], 16), expected, atol=1e-4)
    assert np.allclose(ours.decode([5], [50]), theirs.decode([5], [50]), atol=1e-4)


@pytest.mark.parametrize("kv", ["float32", "int8"])
def test_a_cache_that_may_evict_gives_what_a_plain_one_gives(tmp_path: Path, kv: str) -> None:
    found = []
    for window_cache in (False, True):
        graph = TinyDecoder(context=CONTEXT, window=24, kv=kv, window_cache=window_cache).write(tmp_path)
        runner = open_ort_runner(graph, context_length=CONTEXT)
        runner.resize(KvShape(1, 160))
        found.append([prefill(runner, 0, PROMPT[:100], 33), decode_alone(runner, PROMPT[100:110], 100)])
    assert np.allclose(found[0], found[1], atol=1e-4)


def test_the_label_names_runtime_threads_and_cache(open_tiny: Open) -> None:
    label = open_tiny(KINDS["int8-kv"]).info.label
    assert label.startswith("onnxruntime ")
    assert label.endswith("CPU, 2 threads, int8 KV, prompts in float32")
    assert open_tiny(KINDS["float-kv"]).info.label.endswith("CPU, 2 threads, float32 KV")


def test_a_step_that_the_runtime_refuses_is_a_failed_step(open_tiny: Open) -> None:
    runner = open_tiny(KINDS["int8-kv"])
    with pytest.raises(EngineFailed, match="could not compute"):
        runner.prefill(0, [VOCAB + 1000, 1], 0, want_logits=True)
    assert prefill(runner, 0, PROMPT[:20]).shape == (VOCAB,)


def test_a_closed_runner_may_be_closed_again(open_tiny: Open) -> None:
    runner = open_tiny(KINDS["int8-kv"])
    runner.close()
    runner.close()


def test_session_choices_are_passed_on(tmp_path: Path) -> None:
    choices = SessionChoices(threads=1, spin_us=0, arena=False, config=(("session.set_denormal_as_zero", "1"),))
    runner = open_ort_runner(KINDS["int8-kv"].write(tmp_path), context_length=128, choices=choices)
    assert "1 threads" in runner.info.label


def test_a_graph_of_another_kind_cannot_run(tmp_path: Path) -> None:
    graph = TinyDecoder(attention="MultiHeadAttention").write(tmp_path)
    with pytest.raises(CannotRun, match="it uses MultiHeadAttention"):
        open_ort_runner(graph, context_length=128)


def test_a_graph_that_the_runtime_refuses_cannot_run(tmp_path: Path) -> None:
    graph = TinyDecoder().write(tmp_path)
    model = onnx.load(graph)
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, graph)
    with pytest.raises(CannotRun, match=r"onnxruntime cannot load it: .*NoSuchOperator"):
        open_ort_runner(graph, context_length=128)


@pytest.mark.parametrize("content", [None, b"", b"no protobuf"])
def test_a_file_that_is_no_graph_cannot_run(tmp_path: Path, content: bytes | None) -> None:
    graph = tmp_path / "model.onnx"
    if content is not None:
        graph.write_bytes(content)
    with pytest.raises(CannotRun):
        open_ort_runner(graph, context_length=128)


def test_telemetry_is_off_before_the_runtime_is_imported(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from obeaver.engine.runners.ort_runner import open_ort_runner\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "open_ort_runner(pathlib.Path(sys.argv[1]), context_length=128).close()\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])\n"
    )
    graph = KINDS["int8-kv"].write(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", program, str(graph)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout.strip() == "1"


@pytest.mark.parametrize("chunk", [1, 7, 40])
def test_all_logits_of_a_chunk_are_those_that_each_of_its_tokens_gives_alone(runner: OrtRunner, chunk: int) -> None:
    if not runner.info.gives_all_logits:
        pytest.skip("a pruned head gives the last token's logits alone")
    pieces = [runner.prefill_with_logits(0, PROMPT[at : min(at + chunk, 40)], at).copy() for at in range(0, 40, chunk)]
    given = np.concatenate(pieces)
    alone = [prefill(runner, 1, PROMPT[:stop]) for stop in range(1, 41)]
    # Only the last row chooses a token; over float caches, the others may differ in their last bits.
    np.testing.assert_allclose(given, np.stack(alone), rtol=0, atol=1e-5)
    assert np.array_equal(given[-1], prefill(runner, 1, PROMPT[:40], chunk))


def test_only_whole_heads_give_all_logits(open_tiny: Open) -> None:
    assert open_tiny(KINDS["whole-head"]).info.gives_all_logits
    assert not open_tiny(KINDS["pruned-head"]).info.gives_all_logits
