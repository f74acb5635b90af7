"""What endpoints that generate text do alike over HTTP, from a body to an answer or a stream."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from obeaver import __version__
from obeaver.api.contract import wire
from obeaver.api.core.answer_stream import AnswerStream, Chunks
from obeaver.api.core.constraint import takes_compiling
from obeaver.api.core.generation import Generation
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.state import ApiState
from obeaver.web.request import Request
from obeaver.web.request_log import Tokens, count_tokens
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream, run_until_disconnect

T = TypeVar("T")

INLINE_BYTES = 8192
"""A longer body is checked, rendered and tokenised in a thread: 8 KiB take some milliseconds, 1 MiB a second."""


class Endpoint:
    """The part of an endpoint that does not know what is asked for."""

    def __init__(self, state: ApiState) -> None:
        self._state = state

    async def prepare(self, request: Request, prepare: Callable[[LoadedModel, object], T]) -> T:
        """What `prepare` makes of the model that answers and the body's JSON value.

        The model is leased until this returns: whoever goes on to its worker does so before the next `await`.

        Raises:
            ApiError: The body is no JSON, there is no model to answer, or whatever `prepare` raises.
        """
        body = await request.json()
        asked = body.get("model") if isinstance(body, dict) else None
        async with self._state.models.lease(asked) as model:
            if len(await request.body()) <= INLINE_BYTES and not takes_compiling(body):
                return prepare(model, body)
            return await self._state.in_text_thread(lambda: prepare(model, body))

    def head(self, model: LoadedModel, id_prefix: str) -> wire.Head:
        """The beginning of an answer of this model."""
        return wire.Head(
            id=f"{id_prefix}-{self._state.random_hex()}",
            created=int(self._state.clock()),
            model=model.name,
            system_fingerprint=wire.system_fingerprint(
                __version__, model.name, model.facts.weights, model.facts.kv, model.facts.size_bytes
            ),
        )

    def streamed(self, request: Request, generation: Generation, chunks: Chunks) -> EventStream:
        """A submitted generation as a stream."""
        _let_count(request, generation)
        return EventStream(AnswerStream(generation, chunks), keep_alive_s=self._state.stream_keep_alive_s)

    async def whole(
        self, request: Request, generation: Generation, answer: Coroutine[Any, Any, wire.Object]
    ) -> JSONResponse:
        """A submitted generation as one object, unless the client leaves before.

        Raises:
            ApiError: The engine failed.
        """
        _let_count(request, generation)
        try:
            return JSONResponse(await run_until_disconnect(request, answer))
        finally:
            generation.cancel()


def _let_count(request: Request, generation: Generation) -> None:
    def tokens() -> Tokens:
        usage = generation.usage
        return Tokens(usage.prompt, usage.completion)

    count_tokens(request.scope, tokens)
