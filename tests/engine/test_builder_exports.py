"""Folders that the official model builder made: which runner takes them, and that the answers are the library's own."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from obeaver.app.chat_engine import open_runner
from obeaver.config import Settings
from obeaver.engine.decoding.core import EngineCore, EngineSettings
from obeaver.engine.decoding.sequence import Sequence as EngineSequence
from obeaver.engine.sampling.sampler import Sampler
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.engine.sessions.telemetry import TELEMETRY_OFF
from obeaver.models.facts import ModelFacts, read_facts

FOLDERS = Path(__file__).parent.parent / "data" / "builder_exports"
NAMES = sorted(path.parent.name for path in FOLDERS.glob("*/genai_config.json"))
PASSED_OVER = {"phi3_int4_long_rope": "its graph branches on the longest row's length"}

NUM_TOKENS = 20
# Some are shorter than the windows of the models that have one, some longer.
PROMPT_LENGTHS = (2, 5, 13, 31, 60)
# The library computes a prompt in one piece. Where two logits lie closer than this, in standard deviations of all of
# them, the choice may hang on the order in which numbers were added.
CLEAR = 0.01


@dataclass(frozen=True)
class Answered:
    """A prompt, and what onnxruntime-genai writes after it."""

    prompt_ids: tuple[int, ...]
    answer_ids: list[int]


@dataclass(frozen=True)
class Export:
    """A folder, loaded as a server loads it."""

    facts: ModelFacts
    core: EngineCore
    reasons: list[str]
    answered: list[Answered]


@pytest.fixture(scope="module", params=NAMES)
def export(request: pytest.FixtureRequest) -> Iterator[Export]:
    facts = read_facts(FOLDERS / request.param)
    reasons: list[str] = []
    runner = open_runner(facts, Settings(threads=1), reasons)
    limits = EngineSettings(kv_budget_bytes=1 << 26, prefix_cache_bytes=1 << 22)
    core = EngineCore(runner, limits, make_sampler=Sampler)
    yield Export(facts, core, reasons, library_answers(facts))
    core.close()


def library_answers(facts: ModelFacts) -> list[Answered]:
    """One prompt of each length that leaves no doubt, and its answer."""
    os.environ.update(TELEMETRY_OFF)
    import onnxruntime_genai as og

    config = og.Config(str(facts.folder))
    # Whatever the folder was made for, here it runs on the CPU.
    config.clear_providers()
    model = og.Model(config)
    random = np.random.default_rng(1)
    return [first_clear(og, model, facts, length, random) for length in PROMPT_LENGTHS]


def first_clear(og: Any, model: Any, facts: ModelFacts, length: int, random: np.random.Generator) -> Answered:
    for _ in range(100):
        prompt_ids = tuple(map(int, random.integers(4, facts.vocab_size, length)))
        answer_ids, distance = library_answer(og, model, prompt_ids)
        if distance > CLEAR:
            return Answered(prompt_ids, answer_ids)
    raise AssertionError(f"{facts.name} has no clear answer to a prompt of {length} tokens")


def library_answer(og: Any, model: Any, prompt_ids: tuple[int, ...]) -> tuple[list[int], float]:
    """The library's greedy answer, and how close the second choice came to the first."""
    params = og.GeneratorParams(model)
    params.set_search_options(max_length=len(prompt_ids) + NUM_TOKENS, do_sample=False)
    generator = og.Generator(model, params)
    generator.append_tokens(list(prompt_ids))
    distances = []
    while not generator.is_done():
        logits = generator.get_logits()[0, -1].astype(np.float32)
        second, first = np.partition(logits, -2)[-2:]
        distances.append(float((first - second) / logits.std()))
        generator.generate_next_token()
    return [int(token_id) for token_id in generator.get_sequence(0)[len(prompt_ids) :]], min(distances)


def answers(export: Export, prompts: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """What the engine writes after prompts that arrive together; without the id that ends an answer."""
    stop = frozenset(export.facts.eos_ids)
    params = SamplingParams(max_tokens=NUM_TOKENS, temperature=0.0, stop_token_ids=stop)
    written: list[list[int]] = [[] for _ in prompts]
    for index, prompt_ids in enumerate(prompts):
        export.core.add(EngineSequence(index, prompt_ids, params))
    while export.core.has_work:
        for index, token in export.core.step().advanced:
            written[index].append(token.token_id)
    return [[token_id for token_id in answer if token_id not in stop] for answer in written]


def test_the_folders_of_all_families_are_there() -> None:
    assert {name.partition("_")[0] for name in NAMES} >= {
        "llama",
        "qwen2",
        "qwen3",
        "phi3",
        "gemma",
        "gemma2",
        "gemma3",
    }


def test_it_runs_straight_on_onnxruntime_or_the_reason_is_said(export: Export) -> None:
    passed_over = PASSED_OVER.get(export.facts.name)
    assert export.core.info.label.startswith("onnxruntime-genai " if passed_over else "onnxruntime ")
    assert export.reasons[0].startswith(
        f"not run straight on onnxruntime: {passed_over}" if passed_over else "run straight"
    )


def test_greedy_answers_are_those_of_the_library(export: Export) -> None:
    for answered in export.answered:
        assert answers(export, [answered.prompt_ids]) == [answered.answer_ids]


def test_answers_to_prompts_that_arrive_together_are_the_same(export: Export) -> None:
    together = answers(export, [answered.prompt_ids for answered in export.answered])
    assert together == [answered.answer_ids for answered in export.answered]


def test_answers_are_not_all_alike(export: Export) -> None:
    assert len({tuple(answered.answer_ids) for answered in export.answered}) == len(PROMPT_LENGTHS)
