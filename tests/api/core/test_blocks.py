"""The blocks of an answer: each begins once, ends once, and holds all of its text."""

from hypothesis import given
from hypothesis import strategies as st

from obeaver.api.core.blocks import Block, BlockBegun, BlockDelta, BlockEnded, BlockEvent, Blocks
from obeaver.api.core.outputs import Ended, Output, Piece
from obeaver.text.events import ContentDelta, ReasoningDelta, TextEvent, ToolCallArguments, ToolCallStart, join_events


def blocks_of(*events: TextEvent) -> list[BlockEvent]:
    outputs: list[Output] = [*(Piece(0, event) for event in events), Ended(0, "stop")]
    blocks = Blocks()
    return [event for output in outputs for event in blocks.of(output)]


def test_a_block_ends_where_another_kind_begins_and_at_the_end_of_the_answer() -> None:
    thought, text = Block(0, "reasoning"), Block(1, "text")
    assert blocks_of(ReasoningDelta("h"), ReasoningDelta("m"), ContentDelta("Yes")) == [
        BlockBegun(thought),
        BlockDelta(thought, "h"),
        BlockDelta(thought, "m"),
        BlockEnded(thought, "hm"),
        BlockBegun(text),
        BlockDelta(text, "Yes"),
        BlockEnded(text, "Yes"),
    ]


def test_each_call_is_a_block_of_its_own_even_without_arguments() -> None:
    first, second = Block(0, "call", "a", "f"), Block(1, "call", "b", "g")
    assert blocks_of(ToolCallStart(0, "a", "f"), ToolCallStart(1, "b", "g"), ToolCallArguments(1, "{}")) == [
        BlockBegun(first),
        BlockEnded(first, ""),
        BlockBegun(second),
        BlockDelta(second, "{}"),
        BlockEnded(second, "{}"),
    ]


def test_an_answer_that_says_nothing_has_no_blocks() -> None:
    assert blocks_of() == []


TEXT = st.text(min_size=1, max_size=3)
SAID = st.lists(st.one_of(TEXT.map(ContentDelta), TEXT.map(ReasoningDelta), TEXT), max_size=12)


@given(SAID)
def test_blocks_in_their_order_say_what_the_answer_says(said: list[ContentDelta | ReasoningDelta | str]) -> None:
    events: list[TextEvent] = []
    num_calls = 0
    for item in said:
        if isinstance(item, str):  # a call with these arguments
            events += [ToolCallStart(num_calls, f"call_{num_calls}", "f"), ToolCallArguments(num_calls, item)]
            num_calls += 1
        else:
            events.append(item)
    found = blocks_of(*events)
    begun = [event.block for event in found if isinstance(event, BlockBegun)]
    ended = [event for event in found if isinstance(event, BlockEnded)]
    assert [block.index for block in begun] == list(range(len(begun)))
    assert [event.block for event in ended] == begun
    for event in ended:
        deltas = [delta.text for delta in found if isinstance(delta, BlockDelta) and delta.block == event.block]
        assert "".join(deltas) == event.text
    answer = join_events(events)
    texts = {kind: "".join(event.text for event in ended if event.block.kind == kind) for kind in ("text", "reasoning")}
    assert texts == {"text": answer.content, "reasoning": answer.reasoning}
    assert [event.text for event in ended if event.block.kind == "call"] == [c.arguments for c in answer.tool_calls]
