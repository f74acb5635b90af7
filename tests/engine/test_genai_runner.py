"""onnxruntime-genai on a tiny decoder with random weights."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.openvino import needs_openvino
from support.tiny_decoder import TinyDecoder

from obeaver.engine.runners.genai_runner import GenaiRunner, open_genai_runner
from obeaver.engine.runners.runner import KvShape, Logits
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.engine.sessions.providers import choose_provider
from obeaver.errors import EngineFailed

TINY = TinyDecoder(vocab=300)
PROMPT = [int(i) for i in np.random.default_rng(1).integers(3, TINY.vocab, 40)]
# Kernels for one token and for many add up in different orders.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    TINY.write(folder)
    return folder


@pytest.fixture
def runner(folder: Path) -> Iterator[GenaiRunner]:
    runner = open_genai_runner(folder, context_length=128, vocab_size=TINY.vocab, threads=1)
    runner.resize(KvShape(3, 64))
    yield runner
    runner.close()


def logits_of(runner: GenaiRunner, row: int, token_ids: list[int], start: int = 0) -> Logits:
    logits = runner.prefill(row, token_ids, start, want_logits=True)
    assert logits is not None
    return logits.copy()


def test_the_label_names_library_device_and_threads(runner: GenaiRunner) -> None:
    assert runner.info.label.startswith("onnxruntime-genai ")
    assert runner.info.label.endswith("CPU, 1 threads")


def test_the_bytes_of_a_token_come_from_the_configuration(runner: GenaiRunner) -> None:
    assert runner.info.kv_bytes_per_token == 2 * TINY.layers * TINY.kv_heads * TINY.head_dim * 4


def test_a_prompt_in_chunks_gives_the_logits_of_the_prompt_in_one_piece(runner: GenaiRunner) -> None:
    whole = logits_of(runner, 0, PROMPT)
    assert runner.prefill(1, PROMPT[:16], 0, want_logits=False) is None
    assert runner.prefill(1, PROMPT[16:32], 16, want_logits=False) is None
    assert np.array_equal(logits_of(runner, 1, PROMPT[32:], 32), whole)


def test_decoding_token_by_token_gives_the_logits_of_prefill(runner: GenaiRunner) -> None:
    whole = logits_of(runner, 1, PROMPT)
    logits_of(runner, 0, PROMPT[:30])
    for length in range(30, 40):
        decoded = runner.decode([PROMPT[length]], [length])
    assert decoded.shape == (1, TINY.vocab)
    assert np.allclose(decoded[0], whole, atol=TOLERANCE)


def test_rows_of_different_lengths_decode_as_if_alone(runner: GenaiRunner) -> None:
    lengths = [5, 17, 9]
    for row, length in enumerate(lengths):
        logits_of(runner, row, PROMPT[row : row + length])
    together = runner.decode([7, 8, 9], lengths)
    for row, length in enumerate(lengths):
        logits_of(runner, 0, PROMPT[row : row + length])
        assert np.array_equal(runner.decode([7 + row], [length])[0], together[row])


def test_a_row_starts_anew_with_each_prompt(runner: GenaiRunner) -> None:
    first = logits_of(runner, 0, PROMPT)
    logits_of(runner, 0, PROMPT[::-1])
    assert np.array_equal(logits_of(runner, 0, PROMPT), first)


def test_a_moved_row_goes_on_where_it_was(runner: GenaiRunner) -> None:
    logits_of(runner, 0, PROMPT)
    expected = runner.decode([5], [40])[0].copy()
    logits_of(runner, 2, PROMPT)
    runner.move_row(2, 0, 40)
    assert np.array_equal(runner.decode([5], [40])[0], expected)
    with pytest.raises(EngineFailed, match="Row 2 does not hold"):
        runner.prefill(2, [1], 40, want_logits=False)


def test_rows_that_changed_go_on_where_they_were(runner: GenaiRunner) -> None:
    logits_of(runner, 0, PROMPT)
    expected = runner.decode([5], [40])[0].copy()
    logits_of(runner, 0, PROMPT[:9])
    logits_of(runner, 2, PROMPT)
    runner.swap_rows(2, 0, 40, 9)
    assert np.array_equal(runner.decode([5], [40])[0], expected)
    runner.prefill(2, [1], 9, want_logits=False)


def test_a_row_outgrows_its_generator_and_goes_on(runner: GenaiRunner) -> None:
    runner.resize(KvShape(1, 40))
    logits_of(runner, 0, PROMPT)
    runner.resize(KvShape(2, 80))
    longer = runner.decode([5], [40])[0].copy()
    logits_of(runner, 1, PROMPT)
    assert np.allclose(logits_of(runner, 1, [5], 40), longer, atol=TOLERANCE)


def test_fewer_rows_keep_what_the_first_ones_hold(runner: GenaiRunner) -> None:
    logits_of(runner, 0, PROMPT)
    runner.resize(KvShape(1, 64))
    assert runner.decode([5], [40]).shape == (1, TINY.vocab)


def test_a_released_row_holds_nothing(runner: GenaiRunner) -> None:
    logits_of(runner, 0, PROMPT)
    runner.release_row(0)
    with pytest.raises(EngineFailed, match="Row 0 does not hold 40 tokens"):
        runner.decode([5], [40])


def test_a_step_that_the_library_refuses_is_a_failed_step(runner: GenaiRunner) -> None:
    with pytest.raises(EngineFailed, match="could not compute"):
        runner.prefill(0, PROMPT * 2, 0, want_logits=True)


def test_logits_wider_than_the_vocabulary_are_cut(folder: Path) -> None:
    runner = open_genai_runner(folder, context_length=128, vocab_size=TINY.vocab - 5)
    runner.resize(KvShape(1, 64))
    assert logits_of(runner, 0, PROMPT).shape == (TINY.vocab - 5,)


def test_keys_and_values_cannot_be_copied(runner: GenaiRunner) -> None:
    assert not runner.info.can_copy_kv
    with pytest.raises(NotImplementedError):
        runner.read_kv(0, 0, 1)
    with pytest.raises(NotImplementedError):
        runner.write_kv(0, 0, np.zeros((2, 2, 2, 1, 16), np.float32))


def test_a_closed_runner_may_be_closed_again(runner: GenaiRunner) -> None:
    runner.close()
    runner.close()


FAMILIES = ("glm4", "olmo2", "gpt_oss", "cohere2", "qwen3_moe", "seed_oss", "hunyuan_v1_dense", "mistral3", "nonsense")
"""Types of `config.json` that the library refuses, or takes for models of several graphs."""


def of_family(folder: Path, family: str, **decoder: Any) -> Path:
    graph = TinyDecoder(vocab=300, **decoder).write(folder)
    config = json.loads((folder / "genai_config.json").read_text())
    config["model"]["type"] = family
    (folder / "genai_config.json").write_text(json.dumps(config))
    return graph


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["GroupQueryAttention", "plain"])
def test_a_graph_of_a_family_that_the_library_does_not_know_runs_as_any_decoder(
    tmp_path: Path, family: str, attention: str
) -> None:
    logits = []
    for name in ("llama", family):
        (folder := tmp_path / name).mkdir()
        graph = of_family(folder, name, attention=attention, position_ids=attention == "plain", weights="float32")
        runner = open_genai_runner(folder, context_length=128, vocab_size=300, threads=1, decoder_graph=graph)
        runner.resize(KvShape(1, 64))
        logits.append([logits_of(runner, 0, PROMPT), runner.decode([5], [len(PROMPT)])[0].copy()])
        runner.close()
    np.testing.assert_array_equal(logits[0], logits[1])


def test_a_graph_of_an_unknown_family_with_an_input_that_nothing_fills_is_refused_by_its_name(tmp_path: Path) -> None:
    graph = of_family(tmp_path, "qwen3_next")
    model = onnx.load(graph)
    model.graph.input.append(helper.make_tensor_value_info("past_conv.0", TensorProto.FLOAT, ["batch", 8, 3]))
    onnx.save(model, graph)
    with pytest.raises(CannotRun, match=r"does not know its family, and its graph has an input past_conv\.0"):
        open_genai_runner(tmp_path, context_length=128, vocab_size=300, decoder_graph=graph)


def test_a_folder_that_the_library_refuses_cannot_run(tmp_path: Path) -> None:
    (tmp_path / "genai_config.json").write_text('{"model": {"type": "nonsense"}}')
    with pytest.raises(CannotRun, match="onnxruntime-genai cannot load it"):
        open_genai_runner(tmp_path, context_length=128, vocab_size=300)


def test_a_folder_without_a_configuration_cannot_run(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="genai_config"):
        open_genai_runner(tmp_path, context_length=128, vocab_size=300)


def test_telemetry_is_off_before_the_library_is_imported(folder: Path) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from obeaver.engine.runners.genai_runner import open_genai_runner\n"
        "assert 'onnxruntime_genai' not in sys.modules\n"
        "open_genai_runner(pathlib.Path(sys.argv[1]), context_length=128, vocab_size=300).close()\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", program, str(folder)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout.strip() == "1"


@needs_openvino
def test_another_provider_takes_what_it_says_and_computes_what_the_cpus_does(tmp_path: Path) -> None:
    graph = TinyDecoder().write(tmp_path)
    steps = []
    for name in ("cpu", "openvino:cpu"):
        runner = open_genai_runner(
            tmp_path,
            context_length=128,
            vocab_size=320,
            threads=1,
            provider=choose_provider(name),
            decoder_graph=graph,
        )
        runner.resize(KvShape(1, 32))
        first = runner.prefill(0, [3, 5, 7, 9], 0, want_logits=True)
        assert first is not None
        steps.append([first.copy(), *(runner.decode([5 + place], [place])[0].copy() for place in range(4, 8))])
        placement = runner.info.placement
        assert str(placement) in runner.info.label
        runner.close()
    assert placement.provider == "openvino"
    assert placement.left_to_cpu == {"GroupQueryAttention": 2}
    np.testing.assert_allclose(steps[1], steps[0], atol=1e-3)


@needs_openvino
def test_a_provider_that_does_not_load_the_graph_is_no_runner_for_it(tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    TinyDecoder().write(tmp_path)
    graph.write_bytes(graph.read_bytes()[:-100])
    with pytest.raises(CannotRun, match="onnxruntime cannot load it on openvino: "):
        open_genai_runner(
            tmp_path,
            context_length=128,
            vocab_size=320,
            provider=choose_provider("openvino:cpu"),
            decoder_graph=graph,
        )
