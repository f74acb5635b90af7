"""What endpoints of encoders do alike over HTTP, from a body to the rows that the encoder computes."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from obeaver.api.contract import wire
from obeaver.api.encoders.inputs import Inputs
from obeaver.api.encoders.state import INLINE_BYTES, EmbedState, LoadedEncoder
from obeaver.engine.encoding.worker import Rows
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import run_until_disconnect

A = TypeVar("A")
"""What a dialect's parser makes of a body."""

BYTES_OF_A_NUMBER = 20
"""In JSON, about."""


class Encoded(NamedTuple, Generic[A]):
    """What was asked for, and what came of it.

    Attributes:
        asked: What the parser made of the body.
        model: Has computed.
        inputs: What it was given.
        rows: One for each input.
    """

    asked: A
    model: LoadedEncoder
    inputs: Inputs
    rows: Rows


class EncoderEndpoint:
    """The part of an endpoint that does not know what the rows mean."""

    def __init__(self, state: EmbedState) -> None:
        self._state = state

    async def encode(
        self,
        request: Request,
        parse: Callable[[object], A],
        read: Callable[[LoadedEncoder, A], Inputs],
    ) -> Encoded[A]:
        """Read the body, and have its texts computed unless the client leaves before.

        Args:
            request: Its body is read here.
            parse: Takes the body's JSON value.
            read: Makes the model's inputs of what was parsed.

        Raises:
            ApiError: No JSON, no model, an engine that does not take it, or what `parse` and `read` raise.
        """
        body = await request.json()
        model = self._state.models.current()

        def work() -> tuple[A, Inputs]:
            asked = parse(body)
            return asked, read(model, asked)

        asked, inputs = await self._state.where_it_fits(work, num_bytes=len(await request.body()))
        rows = await run_until_disconnect(request, model.worker.compute(inputs.texts))
        return Encoded(asked, model, inputs, rows)

    async def answer(self, encoded: Encoded[A], write: Callable[[Encoded[A]], wire.Object]) -> JSONResponse:
        """The answer, written off the event loop where that takes a while."""
        num_bytes = BYTES_OF_A_NUMBER * len(encoded.inputs.texts) * encoded.model.worker.size // 4
        make = JSONResponse if num_bytes <= INLINE_BYTES else JSONResponse.of_many
        return await self._state.where_it_fits(lambda: make(write(encoded)), num_bytes=num_bytes)


def usage_object(inputs: Inputs, *, cut: bool) -> wire.Object:
    """Tokens that were computed; with `cut`, also those that were cut off."""
    usage = {"prompt_tokens": inputs.num_tokens, "total_tokens": inputs.num_tokens}
    return usage | {"truncated_tokens": inputs.num_cut} if cut else usage
