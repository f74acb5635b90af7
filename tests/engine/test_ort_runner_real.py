"""That a sequence's numbers depend on nothing but its tokens, on the default model, to the bit, on each provider."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.openvino import needs_openvino

from obeaver.allocator import trim
from obeaver.engine.runners.ort_runner import OrtRunner, open_ort_runner
from obeaver.engine.runners.runner import KvShape, Logits, Part
from obeaver.engine.sessions.providers import CPU, choose_provider

pytestmark = [pytest.mark.real, pytest.mark.slow]

LENGTH = 300
PROMPT = [int(i) for i in np.random.default_rng(7).integers(3, 49_000, LENGTH + 8)]
NUM_STEPS = 3


@pytest.fixture(scope="module", params=["cpu", pytest.param("openvino:cpu", marks=needs_openvino)])
def runner(default_model: Path, request: pytest.FixtureRequest) -> Iterator[OrtRunner]:
    provider = choose_provider(request.param)
    runner = open_ort_runner(default_model / "model.onnx", context_length=8192, provider=provider)
    yield runner
    runner.close()


@pytest.fixture(autouse=True)
def buffers(runner: OrtRunner) -> None:
    runner.resize(KvShape(4, 384))


@pytest.fixture(scope="module")
def alone(runner: OrtRunner) -> list[Logits]:
    """After the prompt in one piece, and after each step behind it."""
    runner.resize(KvShape(1, 384))
    return [prefill(runner, 0, LENGTH), *steps(runner, [])]


def prefill(runner: OrtRunner, row: int, chunk: int, start: int = 0) -> Logits:
    for at in range(start, LENGTH, chunk):
        logits = runner.prefill(row, PROMPT[at : min(at + chunk, LENGTH)], at, want_logits=at + chunk >= LENGTH)
    assert logits is not None
    return logits.copy()


def steps(runner: OrtRunner, neighbours: list[int]) -> list[Logits]:
    """Decode row 0 behind the prompt, beside rows of these lengths."""
    found = []
    for step in range(NUM_STEPS):
        token_ids = [PROMPT[LENGTH + step], *[100 + step] * len(neighbours)]
        lengths = [LENGTH + step, *(length + step for length in neighbours)]
        found.append(runner.decode(token_ids, lengths)[0].copy())
    return found


def assert_equal(found: list[Logits], expected: list[Logits]) -> None:
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("chunk", [256, 299, 33])
def test_however_the_prompt_was_cut(runner: OrtRunner, alone: list[Logits], chunk: int) -> None:
    assert_equal([prefill(runner, 0, chunk), *steps(runner, [])], alone)


@pytest.mark.parametrize("total", [2, 4])
def test_part_by_part_beside_others_that_decode_and_from_row_to_row(
    runner: OrtRunner, alone: list[Logits], total: int
) -> None:
    if runner.info.num_parts == 1:
        pytest.skip("this provider runs a model as a whole")
    neighbours = [40, 7]
    for row, length in enumerate(neighbours):
        runner.prefill(row, PROMPT[:length][::-1], 0, want_logits=False)
    row = 2
    for start in range(0, LENGTH, 110):
        token_ids = PROMPT[start : min(start + 110, LENGTH)]
        for number in range(total):
            part = Part(number, total)
            is_end = start + 110 >= LENGTH and part.is_last
            logits = runner.prefill(row, token_ids, start, want_logits=is_end, part=part)
            runner.decode([100, 101], neighbours)
            neighbours = [length + 1 for length in neighbours]
            runner.move_row(row, 5 - row, start + len(token_ids))
            row = 5 - row
    assert logits is not None
    found = logits.copy()
    runner.move_row(row, 0, LENGTH)
    assert_equal([found, *steps(runner, [])], alone)


def test_all_logits_come_out_of_the_last_part(runner: OrtRunner) -> None:
    if runner.info.num_parts == 1:
        pytest.skip("this provider runs a model as a whole")
    expected = runner.prefill_with_logits(0, PROMPT[:60], 0).copy()
    for number in range(3):
        runner.prefill(1, PROMPT[:60], 0, want_logits=False, part=Part(number, 4))
    found = runner.prefill_with_logits(1, PROMPT[:60], 0, part=Part(3, 4))
    assert np.array_equal(found, expected)


def test_beside_other_rows(runner: OrtRunner, alone: list[Logits]) -> None:
    neighbours = [40, 7, 120]
    for row, length in enumerate(neighbours, start=1):
        runner.prefill(row, PROMPT[:length][::-1], 0, want_logits=False)
    assert_equal([prefill(runner, 0, 256), *steps(runner, neighbours)], alone)


def test_after_the_buffers_grew_and_the_row_moved(runner: OrtRunner, alone: list[Logits]) -> None:
    first = prefill(runner, 3, 256)
    runner.resize(KvShape(8, 1024))
    runner.move_row(3, 0, LENGTH)
    assert_equal([first, *steps(runner, [])], alone)


def test_after_a_prefix_was_put_back(runner: OrtRunner, alone: list[Logits]) -> None:
    prefill(runner, 1, LENGTH)
    runner.write_kv(0, 0, runner.read_kv(1, 0, LENGTH - 1))
    assert_equal([prefill(runner, 0, 256, start=LENGTH - 1), *steps(runner, [])], alone)


@pytest.mark.parametrize("chunk", [8, 3])
def test_several_tokens_are_decoded_at_once_as_one_by_one_if_it_says_so(runner: OrtRunner, chunk: int) -> None:
    prefill(runner, 0, LENGTH)
    runner.move_row(0, 1, LENGTH)
    prefill(runner, 0, LENGTH)
    for at in range(LENGTH, LENGTH + 8, chunk):
        runner.prefill(1, PROMPT[at : min(at + chunk, LENGTH + 8)], at, want_logits=False, decoded=True)
    for place in range(LENGTH, LENGTH + 8):
        runner.decode([PROMPT[place]], [place])
    decoded, at_once = (runner.read_kv(row, LENGTH, LENGTH + 8) for row in (0, 1))
    assert np.array_equal(decoded, at_once) is runner.info.decodes_ahead


def test_a_long_prompt_gives_the_same_however_it_is_cut(runner: OrtRunner) -> None:
    # Attention in float32 works in blocks: of 128 queries and, where a core has 2 MB, of 1,024 keys.
    text = [int(i) for i in np.random.default_rng(8).integers(3, 49_000, 1_300)]
    runner.resize(KvShape(2, 1_400))
    for row, sizes in enumerate([[256], [129, 17, 100, 1, 255, 64, 2]]):
        at = 0
        while at < len(text):
            size = sizes[at % len(sizes)]
            runner.prefill(row, text[at : at + size], at, want_logits=False)
            at += size
    in_pieces, in_others = (runner.read_kv(row, 0, len(text)) for row in range(2))
    assert np.array_equal(in_pieces, in_others)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux gives memory page by page, and can be told which")
def test_rows_take_the_memory_of_the_tokens_that_they_hold(runner: OrtRunner) -> None:
    process = psutil.Process()
    runner.prefill(0, PROMPT[:30], 0, want_logits=False)
    before = process.memory_info().rss
    runner.resize(KvShape(16, 8192))
    for row in range(16):
        runner.prefill(row, PROMPT[:30], 0, want_logits=False)
    # A row has room for 94 MB, and 30 tokens take 0.35 MB. A page of 4 kB holds 64 tokens of one head.
    assert process.memory_info().rss - before < 16 * 4 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="Linux gives memory page by page, and can be told which")
def test_rows_that_grow_take_no_memory_for_what_they_do_not_hold(runner: OrtRunner) -> None:
    process = psutil.Process()
    runner.resize(KvShape(8, 4_000), ())
    for row in range(8):
        runner.prefill(row, PROMPT[:30], 0, want_logits=False)
    before = process.memory_info().rss
    runner.resize(KvShape(16, 6_000), [30] * 8)
    assert process.memory_info().rss - before < 8 << 20


@pytest.mark.parametrize("num_tokens", range(2, 10))
def test_tokens_that_are_computed_ahead_have_the_logits_of_decoding(runner: OrtRunner, num_tokens: int) -> None:
    ids = (PROMPT[LENGTH:] * 2)[:num_tokens]
    prefill(runner, 0, LENGTH)
    ahead = runner.prefill_with_logits(0, ids, LENGTH, decoded=True).copy()
    one_by_one = [runner.decode([token_id], [place])[0].copy() for place, token_id in enumerate(ids, LENGTH)]
    assert all(map(np.array_equal, ahead, one_by_one)) or not runner.info.decodes_ahead


def test_logits_of_many_tokens_leave_no_memory_behind(runner: OrtRunner) -> None:
    if runner.info.placement.provider != CPU:
        pytest.skip("the provider keeps memory of its own")
    process = psutil.Process()
    for row in range(4):
        prefill(runner, row, 512)
    trim()
    before = process.memory_info().rss
    for row in range(4):
        runner.prefill_with_logits(row, PROMPT, 0)
    trim()
    # Each row's logits take 60 MB, and the tensors that they are made of as much.
    assert process.memory_info().rss - before < 25_000_000
