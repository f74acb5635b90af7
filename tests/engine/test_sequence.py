import itertools

import pytest

from obeaver.engine.decoding.sequence import TRANSITIONS, FinishReason, IllegalTransition, Sequence, Status
from obeaver.engine.sampling.sampling_params import SamplingParams

PATHS = {
    Status.WAITING: (),
    Status.PREFILL: (Status.PREFILL,),
    Status.DECODE: (Status.PREFILL, Status.DECODE),
    Status.FINISHED: (Status.FINISHED,),
}


def sequence_at(status: Status) -> Sequence:
    sequence = Sequence(1, (1, 2, 3), SamplingParams(max_tokens=4))
    for step in PATHS[status]:
        sequence.move_to(step)
    return sequence


@pytest.mark.parametrize(("source", "target"), list(itertools.product(Status, Status)))
def test_a_status_changes_along_the_table_or_not_at_all(source: Status, target: Status) -> None:
    sequence = sequence_at(source)
    if target in TRANSITIONS[source]:
        sequence.move_to(target)
        assert sequence.status is target
    else:
        with pytest.raises(IllegalTransition, match=f"{source.value} -> {target.value}"):
            sequence.move_to(target)
        assert sequence.status is source


def test_finishing_says_why() -> None:
    sequence = sequence_at(Status.DECODE)
    sequence.finish(FinishReason.LENGTH)
    assert (sequence.status, sequence.finish_reason) == (Status.FINISHED, FinishReason.LENGTH)


def test_a_sequence_counts_prompt_and_output() -> None:
    sequence = sequence_at(Status.DECODE)
    sequence.output_ids += [7, 8]
    assert (sequence.num_prompt, sequence.num_tokens, sequence.max_num_tokens) == (3, 5, 7)


def test_two_sequences_are_never_the_same() -> None:
    assert sequence_at(Status.WAITING) != sequence_at(Status.WAITING)
