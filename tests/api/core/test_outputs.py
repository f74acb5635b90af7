"""Outputs that wait for a slow client become fewer and say the same."""

from obeaver.api.core.logprobs import ContentToken
from obeaver.api.core.outputs import Ended, Output, Piece, joined
from obeaver.text.events import ContentDelta, ReasoningDelta, TextEvent, ToolCallArguments, ToolCallStart


def pieces(*events: TextEvent) -> list[Output]:
    return [Piece(0, event) for event in events]


def test_neighbours_of_a_kind_are_joined() -> None:
    outputs = pieces(
        ReasoningDelta("a"), ReasoningDelta("b"), ContentDelta("c"), ContentDelta("d"), ReasoningDelta("e")
    )
    assert joined(outputs) == pieces(ReasoningDelta("ab"), ContentDelta("cd"), ReasoningDelta("e"))


def test_calls_are_joined_call_by_call() -> None:
    outputs = pieces(
        ToolCallStart(0, "a", "f"),
        ToolCallArguments(0, "{"),
        ToolCallArguments(0, "}"),
        ToolCallArguments(1, "["),
        ToolCallStart(2, "b", "f"),
        ToolCallStart(3, "c", "f"),
    )
    assert joined(outputs) == [outputs[0], *pieces(ToolCallArguments(0, "{}")), *outputs[3:]]


def test_log_probabilities_stay_with_their_text_and_in_order() -> None:
    outputs: list[Output] = [
        Piece(0, ContentDelta("a"), [ContentToken(b"a", -1.0)]),
        Piece(0, ContentDelta("b"), [ContentToken(b"b", -2.0)]),
    ]
    assert joined(outputs) == [Piece(0, ContentDelta("ab"), [ContentToken(b"a", -1.0), ContentToken(b"b", -2.0)])]


def test_the_end_stays_the_end() -> None:
    outputs: list[Output] = [*pieces(ContentDelta("a"), ContentDelta("b")), Ended(0, "stop")]
    assert joined(outputs) == [*pieces(ContentDelta("ab")), Ended(0, "stop")]
    assert joined([]) == []
