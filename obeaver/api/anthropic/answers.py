"""A generation as Anthropic's clients get it: one message, or named events that add up to it."""

from collections.abc import Iterable
from typing import ClassVar, Final

from obeaver.api.contract import wire
from obeaver.api.core.answer_stream import StreamWriter
from obeaver.api.core.blocks import Block, BlockBegun, BlockDelta, BlockEnded, BlockEvent, Blocks, arguments_object
from obeaver.api.core.endpoint import MakeObject
from obeaver.api.core.generation import Generation
from obeaver.api.core.head import Head
from obeaver.api.core.outputs import Ended, Output
from obeaver.api.core.usage import Usage
from obeaver.web import sse
from obeaver.web.stream import EVENTS, Framing

STOP_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
"""Anthropic's words for the ends of answers; a stop string has one of its own."""


async def whole_message(generation: Generation, head: Head) -> MakeObject:
    """Wait for the whole answer; what is returned words it.

    Args:
        generation: Submitted, not iterated yet.
        head: Id and model.

    Raises:
        ApiError: The engine failed.
    """
    outputs = [output async for batch in generation for output in batch]

    def make() -> wire.Object:
        blocks = Blocks()
        events = [event for output in outputs for event in blocks.of(output)]
        (ended,) = [output for output in outputs if isinstance(output, Ended)]
        content = [_whole_block(event) for event in events if isinstance(event, BlockEnded)]
        return _message(head, content, generation.usage) | _stop(ended)

    return make


class MessageEvents(StreamWriter):
    """Events of a message.

    Args:
        head: Id and model.
        num_prompt_tokens: What the beginning says of the usage.
    """

    framing: ClassVar[Framing] = Framing(EVENTS.media_type, sse.event({"type": "ping"}, "ping"))

    def __init__(self, head: Head, num_prompt_tokens: int) -> None:
        self._head = head
        self._num_prompt_tokens = num_prompt_tokens
        self._blocks = Blocks()
        self._ended: Ended | None = None

    def begin(self) -> bytes:
        """The message without its content."""
        usage = Usage(self._num_prompt_tokens, 0, 0, 0)
        message = _message(self._head, [], usage) | {"stop_reason": None, "stop_sequence": None}
        return _events({"type": "message_start", "message": message}, {"type": "ping"})

    def of(self, output: Output) -> bytes:
        """What begins, adds to and ends blocks."""
        if isinstance(output, Ended):
            self._ended = output
        return _events(*map(_block_event, self._blocks.of(output)))

    def end(self, usage: Usage) -> bytes:
        """Why the answer ended, and its usage."""
        assert self._ended is not None  # noqa: S101  # no generation ends without it
        delta = {"type": "message_delta", "delta": _stop(self._ended), "usage": _usage(usage)}
        return _events(delta, {"type": "message_stop"})


def _events(*events: wire.Object) -> bytes:
    return b"".join(sse.event(event, event["type"]) for event in events)


def _message(head: Head, content: Iterable[wire.Object], usage: Usage) -> wire.Object:
    return {
        "id": head.id,
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": list(content),
        "usage": _usage(usage),
    }


def _usage(usage: Usage) -> wire.Object:
    return {
        "input_tokens": usage.prompt,
        "output_tokens": usage.completion,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
    }


def _stop(ended: Ended) -> wire.Object:
    if ended.stop_string is not None and ended.finish_reason == "stop":
        return {"stop_reason": "stop_sequence", "stop_sequence": ended.stop_string}
    return {"stop_reason": STOP_REASONS[ended.finish_reason], "stop_sequence": None}


def _whole_block(ended: BlockEnded) -> wire.Object:
    block = _empty_block(ended.block)
    match ended.block.kind:
        case "call":
            return block | {"input": arguments_object(ended.text)}
        case "text":
            return block | {"text": ended.text}
    return block | {"thinking": ended.text}


def _empty_block(block: Block) -> wire.Object:
    match block.kind:
        case "call":
            return {"type": "tool_use", "id": block.call_id, "name": block.name, "input": {}}
        case "text":
            return {"type": "text", "text": ""}
    # Nothing is signed here, and clients want the field.
    return {"type": "thinking", "thinking": "", "signature": ""}


def _block_event(event: BlockEvent) -> wire.Object:
    match event:
        case BlockBegun(block):
            return {"type": "content_block_start", "index": block.index, "content_block": _empty_block(block)}
        case BlockDelta(block, text):
            return {"type": "content_block_delta", "index": block.index, "delta": _delta(block, text)}
        case BlockEnded(block):
            return {"type": "content_block_stop", "index": block.index}


def _delta(block: Block, text: str) -> wire.Object:
    match block.kind:
        case "call":
            return {"type": "input_json_delta", "partial_json": text}
        case "text":
            return {"type": "text_delta", "text": text}
    return {"type": "thinking_delta", "thinking": text}
