"""What is told of an engine at this moment: its last step, beside the streams that are open."""

from typing import NamedTuple

from obeaver.engine.decoding.live import live_sequences
from obeaver.engine.decoding.stats import RunningSequence


class Stream(NamedTuple):
    num_prompt: int
    opened_at: float


def running(sequence_id: int) -> RunningSequence:
    return RunningSequence(sequence_id, True, 10, 10, 0, 3)


def test_who_has_not_begun_waits_and_the_oldest_runs_first() -> None:
    streams = {1: Stream(10, 5.0), 2: Stream(20, 6.0), 3: Stream(30, 7.0), 4: Stream(40, 8.0)}
    live = live_sequences([running(3), running(1)], streams, 10.0)
    assert [(row.progress.id, row.age_s) for row in live.running] == [(1, 5.0), (3, 3.0)]
    assert (live.num_waiting, live.waiting_tokens) == (2, 60)


def test_a_sequence_whose_stream_is_gone_is_not_told_of() -> None:
    live = live_sequences([running(1), running(2)], {2: Stream(10, 0.0)}, 1.0)
    assert [row.progress.id for row in live.running] == [2]
    assert (live.num_waiting, live.waiting_tokens) == (0, 0)
