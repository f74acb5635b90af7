"""A generation as a Responses client gets it: one response, or named and numbered events that add up to it.

A response that is stored is so before a client hears of its end, which may go on with it at once.
"""

import itertools

from obeaver.api.contract.wire import Object
from obeaver.api.core.answer_stream import StreamWriter
from obeaver.api.core.blocks import Block, BlockBegun, BlockDelta, BlockEnded, BlockEvent, Blocks
from obeaver.api.core.endpoint import MakeObject
from obeaver.api.core.generation import Generation
from obeaver.api.core.head import Head
from obeaver.api.core.outputs import Ended, Output
from obeaver.api.core.usage import Usage
from obeaver.api.responses import wire
from obeaver.api.responses.keeping import Keeping
from obeaver.errors import ApiError, InternalError
from obeaver.web import sse


class Answer:
    """One response, as it is made.

    Args:
        head: Id, time and model.
        echo: What the response says of its request.
        keeping: Where it is stored when it has ended; None where it is not.

    Attributes:
        items: Those that have ended.
    """

    def __init__(self, head: Head, echo: Object, keeping: Keeping | None) -> None:
        self._head = head
        self._echo = echo | {"store": keeping is not None}
        self._keeping = keeping
        self._blocks = Blocks()
        self.items: list[Object] = []
        self._status: wire.Status = "queued" if echo["background"] else "in_progress"
        self._cancelled = False
        self._usage: Usage | None = None
        self._error: ApiError | None = None

    @property
    def is_queued(self) -> bool:
        """Whether nothing has come of the model yet, and nobody waits."""
        return self._status == "queued"

    def start(self) -> None:
        """The model has begun."""
        self._status = "in_progress"

    def cancel(self) -> None:
        """Nobody wants the rest: what comes next is the end."""
        self._cancelled = True

    def take(self, output: Output) -> list[BlockEvent]:
        """What a piece of output begins, adds and ends. What was cut short is incomplete, and so is its item."""
        if isinstance(output, Ended):
            self._status = self._end(output)
        events = self._blocks.of(output)
        for event in events:
            if isinstance(event, BlockEnded):
                is_cut = self._status in ("incomplete", "cancelled")
                status: wire.Status = "incomplete" if is_cut else "completed"
                self.items.append(wire.item(self._head, event.block, event.text, status))
        return events

    async def settle(self, usage: Usage, error: ApiError | None) -> None:
        """Nothing more comes: store it. Where that cannot be done, the response says that it is not stored.

        Args:
            usage: What it took.
            error: What ended it, if an error did.
        """
        if error is None:
            self._usage = usage
        else:
            self._status, self._error = "failed", error
        if self._keeping is not None and not await self._keeping.keep(self.response()):
            self._echo["store"] = False

    def _end(self, output: Ended) -> wire.Status:
        if self._cancelled:
            return "cancelled"
        return "incomplete" if output.finish_reason == "length" else "completed"

    async def secure(self) -> bool:
        """Store it as a failed one, which it is if this server ends now; whether that could be done."""
        error = InternalError("The server ended before this response did.")
        failed = wire.response(self._head, self._echo, "failed", (), None, error)
        return self._keeping is not None and await self._keeping.keep(failed)

    def response(self) -> Object:
        """The response as it stands."""
        return wire.response(self._head, self._echo, self._status, self.items, self._usage, self._error)

    def begun(self, block: Block) -> Object:
        """The item of a block that has just begun."""
        return wire.item(self._head, block, None, "in_progress")

    def item_id(self, block: Block) -> str:
        """The id of a block's item."""
        return wire.item_id(self._head, block)


async def whole_response(generation: Generation, answer: Answer) -> MakeObject:
    """Wait for the whole answer, and store it; what is returned words it.

    Args:
        generation: Submitted, not iterated yet.
        answer: What it becomes.

    Raises:
        ApiError: The engine failed.
    """
    async for batch in generation:
        for output in batch:
            answer.take(output)
    await answer.settle(generation.usage, None)
    return answer.response


class ResponseEvents(StreamWriter):
    """Events of a response.

    Args:
        answer: What the events add up to.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._numbers = itertools.count()

    def begin(self) -> bytes:
        """The response without its output."""
        response = self._answer.response()
        state = "queued" if self._answer.is_queued else "in_progress"
        return self._event("created", response=response) + self._event(state, response=response)

    def of(self, output: Output) -> bytes:
        """What begins, adds to and ends items."""
        begun = b""
        if self._answer.is_queued:
            self._answer.start()
            begun = self._event("in_progress", response=self._answer.response())
        return begun + b"".join(map(self._block, self._answer.take(output)))

    async def settle(self, usage: Usage, error: ApiError | None) -> None:
        """Store the response: who hears of its end may go on with it."""
        await self._answer.settle(usage, error)

    def end(self, _usage: Usage) -> bytes:
        """The whole response. One that was cancelled has no event of its own: it is incomplete, its status says why."""
        response = self._answer.response()
        event = "incomplete" if response["status"] == "cancelled" else response["status"]
        return self._event(event, response=response)

    def failed(self, _error: ApiError) -> bytes:
        """What there is of the response, and why there is no more."""
        return self._event("failed", response=self._answer.response())

    def _block(self, event: BlockEvent) -> bytes:
        match event:
            case BlockBegun(block):
                return self._begun(block)
            case BlockDelta(block, text):
                return self._delta(block, text)
            case BlockEnded(block, text):
                return self._ended(block, text)

    def _begun(self, block: Block) -> bytes:
        added = self._event("output_item.added", output_index=block.index, item=self._answer.begun(block))
        if block.kind == "call":
            return added
        return added + self._of_part(block, "content_part.added", part=wire.part(block.kind, ""))

    def _delta(self, block: Block, text: str) -> bytes:
        match block.kind:
            case "call":
                return self._of_item(block, "function_call_arguments.delta", delta=text)
            case "reasoning":
                return self._of_part(block, "reasoning_text.delta", delta=text)
        return self._of_part(block, "output_text.delta", delta=text, logprobs=[])

    def _ended(self, block: Block, text: str) -> bytes:
        match block.kind:
            case "call":
                whole = self._of_item(block, "function_call_arguments.done", name=block.name, arguments=text)
            case "reasoning":
                whole = self._of_part(block, "reasoning_text.done", text=text)
            case "text":
                whole = self._of_part(block, "output_text.done", text=text, logprobs=[])
        if block.kind != "call":
            whole += self._of_part(block, "content_part.done", part=wire.part(block.kind, text))
        item = self._answer.items[block.index]
        return whole + self._event("output_item.done", output_index=block.index, item=item)

    def _of_part(self, block: Block, event: str, /, **fields: object) -> bytes:
        return self._of_item(block, event, content_index=0, **fields)

    def _of_item(self, block: Block, event: str, /, **fields: object) -> bytes:
        place = {"item_id": self._answer.item_id(block), "output_index": block.index}
        return self._event(event, **place, **fields)

    def _event(self, event: str, /, **fields: object) -> bytes:
        kind = f"response.{event}"
        return sse.event({"type": kind, "sequence_number": next(self._numbers), **fields}, kind)
