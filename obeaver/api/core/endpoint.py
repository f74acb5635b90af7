"""What endpoints that generate text do alike over HTTP, from a body to an answer or a stream."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias, TypeVar

from obeaver import __version__
from obeaver.api.contract import wire
from obeaver.api.core.answer_stream import AnswerStream, StreamWriter
from obeaver.api.core.generation import Generation
from obeaver.api.core.head import Head, system_fingerprint
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.state import ApiState
from obeaver.web.request import Request
from obeaver.web.request_log import Tokens, count_tokens
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream, run_until_disconnect

T = TypeVar("T")


class Asked(Protocol):
    """What a dialect's parser makes of a body, as far as every endpoint has to know it."""

    @property
    def model(self) -> str:
        """The model that the request names; "" for none."""

    @property
    def takes_compiling(self) -> bool:
        """Whether what comes next may take some hundred milliseconds, however short the body is."""


A = TypeVar("A", bound=Asked)

MakeObject: TypeAlias = Callable[[], wire.Object]
"""Makes the object of an answer that is complete. May be called in any thread."""

INLINE_BYTES = 8192
"""A longer body is checked, rendered and tokenised in a thread: 8 KiB take some milliseconds, 1 MiB a second."""


class Endpoint:
    """The part of an endpoint that does not know what is asked for."""

    def __init__(self, state: ApiState) -> None:
        self._state = state

    async def prepare(
        self, request: Request, parse: Callable[[object], A], make: Callable[[LoadedModel, A], T]
    ) -> tuple[A, T]:
        """What the request asks for, and what is made of it with the model that answers: `read`, then `made`.

        Args:
            request: Its body is read here.
            parse: Takes the body's JSON value.
            make: Takes the model and what was parsed.

        Raises:
            ApiError: The body is no JSON, there is no model to answer, or whatever `parse` and `make` raise.
        """
        asked, is_long = await self.read(request, parse)
        return asked, await self.made(asked, make, in_thread=is_long)

    async def read(self, request: Request, parse: Callable[[object], A]) -> tuple[A, bool]:
        """What the request asks for, and whether it is too long for the event loop to go through.

        Raises:
            ApiError: The body is no JSON, or whatever `parse` raises.
        """
        body = await request.json()
        is_long = len(await request.body()) > INLINE_BYTES
        return await self._done(lambda: parse(body), in_thread=is_long), is_long

    async def made(self, asked: A, make: Callable[[LoadedModel, A], T], *, in_thread: bool) -> T:
        """What is made of a request with the model that answers.

        The model is leased until this returns: whoever goes on to its worker does so before the next `await`.

        Raises:
            ApiError: There is no model to answer, or whatever `make` raises.
        """
        async with self._state.models.lease(asked.model) as model:
            return await self._done(lambda: make(model, asked), in_thread=in_thread or asked.takes_compiling)

    async def _done(self, work: Callable[[], T], *, in_thread: bool) -> T:
        return await (self._state.in_text_thread(work) if in_thread else self._state.turns.do(work))

    def head(self, model: LoadedModel, id_prefix: str) -> Head:
        """The beginning of an answer of this model."""
        return Head(
            id=f"{id_prefix}{self._state.random_hex()}",
            created=int(self._state.clock()),
            model=model.name,
            system_fingerprint=system_fingerprint(
                __version__, model.name, model.facts.weights, model.facts.kv, model.facts.size_bytes
            ),
        )

    def streamed(self, request: Request, generation: Generation, writer: StreamWriter) -> EventStream:
        """A submitted generation as a stream."""
        _let_count(request, generation)
        return EventStream(
            AnswerStream(generation, writer), keep_alive_s=self._state.stream_keep_alive_s, framing=writer.framing
        )

    async def whole(
        self, request: Request, generation: Generation, answer: Coroutine[Any, Any, MakeObject]
    ) -> JSONResponse:
        """A submitted generation as one object, unless the client leaves before.

        Args:
            request: Its body has been read.
            generation: Closed at the end.
            answer: Waits for the generation; what it gives makes the object, in a thread where that takes a while.

        Raises:
            ApiError: The engine failed.
        """
        _let_count(request, generation)

        async def response() -> JSONResponse:
            make = await answer
            if not generation.is_long:
                return JSONResponse(make())
            return await self._state.in_text_thread(lambda: JSONResponse.of_many(make()))

        try:
            return await run_until_disconnect(request, response())
        finally:
            generation.cancel()


def _let_count(request: Request, generation: Generation) -> None:
    def tokens() -> Tokens:
        usage = generation.usage
        return Tokens(usage.prompt, usage.completion)

    count_tokens(request.scope, tokens)
