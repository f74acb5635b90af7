"""What must be true of generated text."""

from collections.abc import Sequence

import pytest

from conformance.checks.texts import cut_violations


@pytest.mark.parametrize("deltas", [[], [""], ["🦫"], ["a", "\ufffd"], ["a", "\ufffd", "", ""]])
def test_a_character_that_a_limit_cuts_at_the_end_is_no_fault(deltas: Sequence[str]) -> None:
    assert cut_violations(deltas) == []


@pytest.mark.parametrize("deltas", [["\ufffd", "\ufffd"], ["a", "\ufffd", "", "b"]])
def test_one_that_is_cut_between_two_pieces_is(deltas: Sequence[str]) -> None:
    assert cut_violations(deltas) == ["a delta holds U+FFFD: a character was cut in two"]
