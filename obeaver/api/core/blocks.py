"""One choice's output as blocks: runs of reasoning, of text, and calls, each with a beginning and an end.

Dialects that name their parts (items, content blocks) say when one begins and when it has ended. The output itself says
only what comes; a block has ended when another one begins, or the choice has.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from obeaver.api.core.outputs import Ended, Output
from obeaver.text.events import ContentDelta, ReasoningDelta, ToolCallArguments, ToolCallStart

BlockKind: TypeAlias = Literal["reasoning", "text", "call"]


@dataclass(frozen=True, slots=True)
class Block:
    """A run of one kind.

    Attributes:
        index: Its place among the blocks of its choice, from 0.
        kind: What it is a run of.
        call_id: Id of the call; "" for the other kinds.
        name: The function that is called; "" for the other kinds.
    """

    index: int
    kind: BlockKind
    call_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class BlockBegun:
    """From here on there is this block."""

    block: Block


@dataclass(frozen=True, slots=True)
class BlockDelta:
    """The block's next text; of a call, of its arguments. Never empty."""

    block: Block
    text: str


@dataclass(frozen=True, slots=True)
class BlockEnded:
    """The block is whole.

    Attributes:
        block: Which.
        text: All of its text; of a call, its arguments, which are JSON if the answer was not cut in them.
    """

    block: Block
    text: str


BlockEvent: TypeAlias = BlockBegun | BlockDelta | BlockEnded


class Blocks:
    """Finds the blocks in one choice's output."""

    def __init__(self) -> None:
        self._open: Block | None = None
        self._texts: list[str] = []
        self._num_blocks = 0

    def of(self, output: Output) -> list[BlockEvent]:
        """What a piece of output begins, adds and ends."""
        if isinstance(output, Ended):
            return self._end()
        event = output.event
        if isinstance(event, ToolCallStart):
            return [*self._end(), BlockBegun(self._begin("call", event.id, event.name))]
        kind, block = _kind(event), self._open
        if block is not None and block.kind == kind:
            return [self._add(block, event.text)]
        ended, block = self._end(), self._begin(kind)
        return [*ended, BlockBegun(block), self._add(block, event.text)]

    def _begin(self, kind: BlockKind, call_id: str = "", name: str = "") -> Block:
        self._open = Block(self._num_blocks, kind, call_id, name)
        self._num_blocks += 1
        self._texts = []
        return self._open

    def _add(self, block: Block, text: str) -> BlockDelta:
        self._texts.append(text)
        return BlockDelta(block, text)

    def _end(self) -> list[BlockEvent]:
        if self._open is None:
            return []
        ended, self._open = BlockEnded(self._open, "".join(self._texts)), None
        return [ended]


def _kind(event: ContentDelta | ReasoningDelta | ToolCallArguments) -> BlockKind:
    match event:
        case ContentDelta():
            return "text"
        case ReasoningDelta():
            return "reasoning"
        case ToolCallArguments():
            return "call"


def arguments_object(text: str) -> dict[str, Any]:
    """The object that a call's arguments are; what the limit has cut is no JSON, and has none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
