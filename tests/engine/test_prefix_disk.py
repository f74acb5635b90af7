"""Prefixes that outlive the engine: the same tokens as without them, fewer of them computed, nobody stalled."""

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.disk import small_disk
from support.engine_driver import EngineDriver, disk_of, settings
from support.fake_runner import BYTES_PER_TOKEN, FakeRunner

from obeaver.engine.prefix_disk.block_files import BLOCK_TOKENS
from obeaver.engine.prefix_disk.prefix_disk import PART_TOKENS, PrefixDisk

PROMPT = tuple((place * place + 3 * place) % 31 for place in range(300))
SETTINGS = settings(4096, 2048)


def engine(disk: PrefixDisk, runner: FakeRunner | None = None) -> EngineDriver:
    return EngineDriver(runner or FakeRunner(), SETTINGS, disk)


def lived(folder: Path, *prompts: tuple[int, ...], max_tokens: int = 8, **limits: float) -> EngineDriver:
    """An engine that has answered these prompts, one after the other, and is gone."""
    driver = engine(disk_of(folder, **limits))  # type: ignore[arg-type]
    for prompt in prompts:
        driver.add(prompt, max_tokens)
        driver.run()
    driver.check_outputs()
    driver.core.close()
    return driver


def num_blocks(folder: Path) -> int:
    return len(list(folder.rglob("*.kv")))


@pytest.mark.parametrize("num_prompt", [65, 127, 128, 129, 256, 257, 300])
def test_a_prompt_is_computed_from_its_last_whole_block_on(tmp_path: Path, num_prompt: int) -> None:
    prompt = PROMPT[:num_prompt]
    lived(tmp_path, prompt, max_tokens=1)
    again = lived(tmp_path, prompt)
    num_stored = (num_prompt - 1) // BLOCK_TOKENS * BLOCK_TOKENS
    assert again.finished(0).num_cached_tokens == num_stored
    assert again.runner.num_prefilled == num_prompt - num_stored


def test_the_next_turn_finds_the_answer_too(tmp_path: Path) -> None:
    first = lived(tmp_path, PROMPT, max_tokens=40)
    turn = (*PROMPT, *first.outputs[0], 1, 2, 3)
    again = lived(tmp_path, turn)
    assert again.finished(0).num_cached_tokens == 320


def test_what_decoding_wrote_is_not_found_where_it_is_not_what_prefilling_writes(tmp_path: Path) -> None:
    first = engine(disk_of(tmp_path), FakeRunner(decodes_as_prefill=False))
    first.add(PROMPT, 100)
    first.run()
    first.core.close()
    assert num_blocks(tmp_path) == len(PROMPT) // BLOCK_TOKENS


def test_the_beginning_that_memory_has_is_not_read(tmp_path: Path) -> None:
    lived(tmp_path, PROMPT)
    driver = engine(disk := disk_of(tmp_path))
    for prompt in (PROMPT[:100], PROMPT):
        driver.add(prompt, 1)
        driver.run()
    driver.check_outputs()
    assert [driver.finished(number).num_cached_tokens for number in (0, 1)] == [64, 256]
    assert disk.stats().read_tokens == 64 + (256 - 100)
    driver.core.close()


def test_several_who_want_the_same_read_it_once(tmp_path: Path) -> None:
    lived(tmp_path, PROMPT)
    driver = engine(disk := disk_of(tmp_path))
    for last in range(4):
        driver.add((*PROMPT, last), 4)
    driver.run()
    driver.check_outputs()
    assert disk.stats().read_tokens == 256
    assert all(driver.finished(number).num_cached_tokens >= 256 for number in range(4))
    driver.core.close()


def test_turns_that_share_their_beginning_store_it_once(tmp_path: Path) -> None:
    lived(tmp_path, PROMPT[:200], (*PROMPT[:200], *range(20, 31)), PROMPT[:130])
    assert num_blocks(tmp_path) == 3


def test_what_was_computed_by_other_means_is_not_found(tmp_path: Path) -> None:
    lived(tmp_path, PROMPT)
    driver = engine(disk_of(tmp_path, origin=b"another model's".ljust(32)))
    driver.add(PROMPT, 4)
    driver.run()
    assert driver.finished(0).num_cached_tokens == 0
    driver.core.close()


@pytest.mark.parametrize("damaged", range(4))
def test_a_damaged_block_costs_what_follows_it_and_no_more(tmp_path: Path, damaged: int) -> None:
    lived(tmp_path, PROMPT, max_tokens=1)
    paths = sorted(tmp_path.rglob("*.kv"), key=lambda path: -path.stat().st_mtime_ns)
    paths[damaged].write_bytes(b"torn")
    again = lived(tmp_path, PROMPT)
    assert again.finished(0).num_cached_tokens == damaged * BLOCK_TOKENS
    assert num_blocks(tmp_path) == 4, "it is there again"


def test_a_prefix_that_memory_cannot_hold_is_read_as_far_as_it_can(tmp_path: Path) -> None:
    lived(tmp_path, PROMPT)
    driver = EngineDriver(FakeRunner(), settings(4096, 150), disk_of(tmp_path))
    driver.add(PROMPT, 4)
    driver.run()
    driver.check_outputs()
    assert driver.finished(0).num_cached_tokens == 128
    driver.core.close()


def test_log_probabilities_of_a_prompt_need_it_computed(tmp_path: Path) -> None:
    lived(tmp_path, PROMPT)
    driver = engine(disk := disk_of(tmp_path))
    driver.add(PROMPT, 4, num_prompt_logprobs=0)
    driver.run()
    assert driver.runner.num_prefilled == len(PROMPT)
    assert disk.stats().read_tokens == 0
    driver.core.close()


def test_what_was_computed_when_the_engine_stops_is_kept(tmp_path: Path) -> None:
    driver = engine(disk_of(tmp_path))
    driver.add(PROMPT, 1)
    while not driver.results:
        driver.step()
    driver.core.settle()
    driver.core.close()
    assert num_blocks(tmp_path) == 4


def test_the_bound_holds_while_many_come(tmp_path: Path) -> None:
    budget = 6 * (BLOCK_TOKENS * BYTES_PER_TOKEN + 48)
    prompts = [tuple((place * place + shift) % 31 for place in range(200)) for shift in range(8)]
    driver = lived(tmp_path, *prompts, budget_bytes=budget)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= budget
    assert driver.core.disk is not None
    assert driver.core.disk.stats().written_tokens == 8 * 3 * BLOCK_TOKENS


class SlowDisk:
    """Holds every opening of a block, as a disk does that does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        opened = os.open

        def held_open(path: "str | Path", *words: int) -> int:
            if ".kv" in str(path) or ".partial" in str(path):
                assert self.answers.wait(60)
            return opened(path, *words)

        monkeypatch.setattr(os, "open", held_open)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], SlowDisk]]:
    made: list[SlowDisk] = []

    def make() -> SlowDisk:
        made.append(SlowDisk(monkeypatch))
        return made[0]

    yield make
    for disk in made:
        disk.answers.set()


def test_others_run_on_while_the_disk_is_slow_and_nobody_loses_his_place(
    tmp_path: Path, slow_disk: Callable[[], SlowDisk]
) -> None:
    lived(tmp_path, PROMPT)
    disk = slow_disk()
    driver = engine(disk_of(tmp_path))
    running = driver.add((7, 7, 7), 60)
    driver.step()
    returning, late = driver.add(PROMPT, 5), driver.add((8, 8), 5)
    for _ in range(40):
        driver.step()
    assert len(driver.outputs[running]) >= 40
    assert len(driver.outputs[late]) == 5
    assert driver.outputs[returning] == []
    disk.answers.set()
    driver.run()
    driver.check_outputs()
    assert driver.finished(returning).num_cached_tokens == 256
    driver.core.close()


def test_a_disk_that_does_not_answer_is_waited_for_once(tmp_path: Path, slow_disk: Callable[[], SlowDisk]) -> None:
    lived(tmp_path, PROMPT)
    disk = slow_disk()
    now_s = 0.0
    kept = disk_of(tmp_path, clock=lambda: now_s, max_read_s=0.05)  # type: ignore[arg-type]
    driver = engine(kept)
    driver.add(PROMPT, 4)
    driver.run()
    assert driver.finished(0).num_cached_tokens == 0
    now_s = 1.0
    assert kept.num_known(PROMPT) == 0, "nobody asks while it hangs"
    disk.answers.set()
    driver.add((*PROMPT[:200], 1), 4)
    driver.run()
    driver.check_outputs()
    driver.core.close()


def test_who_leaves_while_his_prefix_is_read_is_gone(tmp_path: Path, slow_disk: Callable[[], SlowDisk]) -> None:
    lived(tmp_path, PROMPT)
    disk = slow_disk()
    driver = engine(disk_of(tmp_path))
    gone, returning = driver.add(PROMPT, 5), driver.add((*PROMPT, 1), 5)
    driver.step()
    driver.core.abort(gone)
    driver.step()
    assert driver.finished(gone).reason.value == "aborted"
    disk.answers.set()
    driver.run()
    driver.check_outputs()
    assert driver.finished(returning).num_cached_tokens >= 256
    driver.core.close()


def test_what_a_slow_disk_cannot_take_is_not_kept_for_it(tmp_path: Path, slow_disk: Callable[[], SlowDisk]) -> None:
    disk = slow_disk()
    driver = engine(kept := disk_of(tmp_path, max_unwritten_bytes=300 * BYTES_PER_TOKEN))
    for shift in range(4):
        driver.add(tuple((place + shift) % 31 for place in range(200)), 1)
        driver.run()
    assert kept.stats().skipped_tokens == 3 * 192
    disk.answers.set()
    driver.core.close()
    assert num_blocks(tmp_path) == 3


def test_a_full_disk_costs_one_line_and_is_used_again_when_it_has_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with small_disk(tmp_path / "small", "256k") as small:
        if small is None:
            pytest.skip("mounting a file system is not allowed here")
        small.fill()
        driver = engine(disk := disk_of(small.folder / "kv"))
        for shift in range(3):
            driver.add(tuple((place * 7 + shift) % 31 for place in range(200)), 4)
            driver.run()
        driver.check_outputs()
        assert _settled(disk, 3)
        small.make_room()
        driver.add(PROMPT, 4)
        driver.run()
        driver.core.close()
        assert num_blocks(small.folder) == 4
        assert disk.stats().failures == 3
        assert not list(small.folder.rglob("*.partial"))
    assert [record.message for record in caplog.records] == [
        f"the prefix cache in {small.folder / 'kv'} cannot be written: {os.strerror(errno.ENOSPC)}; serving goes on",
        "the prefix cache is written again",
    ]


def test_a_disk_that_cannot_be_written_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with small_disk(tmp_path / "small") as small:
        if small is None:
            pytest.skip("mounting a file system is not allowed here")
        lived(small.folder / "kv", PROMPT)
        small.make_read_only()
        driver = lived(small.folder / "kv", (*PROMPT, 1, 2, 3), PROMPT[::-1], PROMPT[::2])
        assert driver.finished(0).num_cached_tokens == 256
    (line,) = [record.message for record in caplog.records]
    assert line.endswith(f"cannot be written: {os.strerror(errno.EROFS)}; serving goes on")


def _settled(disk: PrefixDisk, failures: int) -> bool:
    """Whether the disk has refused so often within a minute."""
    patience = threading.Event()
    return any(disk.stats().failures == failures or patience.wait(0.01) for _ in range(6000))


def test_parts_are_no_larger_than_what_the_prefix_cache_takes_whole(tmp_path: Path) -> None:
    prompt = tuple((place * place) % 31 for place in range(490))
    lived(tmp_path, prompt, max_tokens=1)
    driver = engine(disk_of(tmp_path))
    driver.add(prompt, 2)
    driver.run()
    driver.check_outputs()
    assert driver.core.stats().prefix_cache_entries >= 490 // PART_TOKENS
    assert driver.core.invariants() == []
    driver.core.close()
