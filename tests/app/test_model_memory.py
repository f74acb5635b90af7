"""What a model will need, whether there is so much, and giving memory back."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
from support.scripted_model import write_model_folder
from support.tiny_decoder import TinyDecoder

from obeaver.app.memory import MB, available_bytes, give_back, kv_budget_bytes, needed_bytes, require_memory, settle
from obeaver.config import Settings
from obeaver.errors import NotEnoughMemory
from obeaver.models.facts import ModelFacts, read_facts


@pytest.fixture
def facts(tmp_path: Path) -> ModelFacts:
    write_model_folder(tmp_path)
    TinyDecoder(context=128).write(tmp_path)
    return read_facts(tmp_path)


def test_a_model_needs_its_weights_and_the_keys_and_values_that_were_asked_for(facts: ModelFacts) -> None:
    heavy = replace(facts, size_bytes=1000 * MB)
    assert needed_bytes(heavy, Settings(kv_cache_mb=500)) == pytest.approx(1900 * MB, rel=0.1)


def test_where_nothing_was_asked_for_a_few_thousand_tokens_must_have_room(facts: ModelFacts) -> None:
    assert facts.kv_bytes_per_token == 2 * 4 * 2 * 2 * 16, "bytes of float32 keys and values of 2 layers, 2 heads, 16"
    large = replace(facts, size_bytes=0, kv_bytes_per_token=100_000, context_length=131_072)
    assert needed_bytes(large, Settings()) == 2048 * 100_000
    assert needed_bytes(replace(large, context_length=512), Settings()) == 512 * 100_000
    assert needed_bytes(replace(large, kv_bytes_per_token=None), Settings()) == 0


def test_what_does_not_fit_is_refused_with_both_numbers() -> None:
    require_memory(100 * MB, 100 * MB)
    with pytest.raises(NotEnoughMemory, match=r"needs about 1,501 MB of memory .* and 1,500 MB are free"):
        require_memory(1501 * MB, 1500 * MB)
    with pytest.raises(NotEnoughMemory, match="and 0 MB are free"):
        require_memory(1, -5 * MB)


def test_the_budget_is_what_was_said_else_a_part_of_what_is_free() -> None:
    assert kv_budget_bytes(Settings(kv_cache_mb=7)) == 7 * MB
    assert 0 < kv_budget_bytes(Settings()) < available_bytes()


def test_memory_can_be_given_back_wherever_this_runs() -> None:
    give_back()


class Ring:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_refers_to_itself_goes_although_it_was_there_when_things_settled() -> None:
    ring = Ring()
    reference = weakref.ref(ring)
    try:
        settle()
        del ring
        for _ in range(8):
            give_back()
        assert reference() is None
    finally:
        gc.unfreeze()
