"""`POST /api/chat` and `POST /api/generate`: text in Ollama's words."""

import time
from collections.abc import Callable

from obeaver.api.contract import wire
from obeaver.api.core.constraint import grammar_of
from obeaver.api.core.context_room import within_context
from obeaver.api.core.endpoint import Endpoint
from obeaver.api.core.job import Job, prepare, start
from obeaver.api.core.limits import check_conversation, check_sampling
from obeaver.api.core.prompt import Prompt
from obeaver.api.core.text_prompts import encoded
from obeaver.api.core.usage import Usage
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.state import ApiState
from obeaver.api.ollama.answers import ChatLines, Clocks, GenerateLines, Lines, whole
from obeaver.api.ollama.requests import TextRequest, parse_chat, parse_generate
from obeaver.api.ollama.sampling import check_context
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream


class TextApi(Endpoint):
    """Handlers of the endpoints that make text.

    Args:
        state: The server's.
        now_ns: Nanoseconds, monotonic.
    """

    def __init__(self, state: ApiState, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        super().__init__(state)
        self._now_ns = now_ns

    async def chat(self, request: Request) -> JSONResponse | EventStream:
        """`POST /api/chat`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        return await self._answer(request, parse_chat, ChatLines)

    async def generate(self, request: Request) -> JSONResponse | EventStream:
        """`POST /api/generate`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        return await self._answer(request, parse_generate, GenerateLines)

    async def _answer(
        self, request: Request, parse: Callable[[object], TextRequest], words: Callable[[str, Clocks], Lines]
    ) -> JSONResponse | EventStream:
        clocks = Clocks(self._now_ns(), self._now_ns, self._state.clock)
        asked, made = await self.prepare(request, parse, _prepared)
        if isinstance(made, LoadedModel):
            return JSONResponse(_loaded(words(made.name, clocks)))
        generation = start(made)
        lines = words(made.model.name, clocks)
        if asked.stream:
            return self.streamed(request, generation, lines)
        return await self.whole(request, generation, whole(generation, lines))


def _prepared(model: LoadedModel, asked: TextRequest) -> Job | LoadedModel:
    """What can be generated; the model itself, where nothing is asked but that it is loaded."""
    check_context(model, asked.num_ctx)
    if asked.conversation is None:
        return model
    if asked.raw is None:
        return prepare(model, asked.conversation, asked.sampling)
    check_conversation(model.limits, asked.conversation)
    check_sampling(model.limits, asked.sampling)
    with within_context(model.context_length, at=asked.conversation.at):
        prompt = encoded(model.tokenizer, asked.raw, limit=model.context_length)
    grammar = grammar_of(asked.conversation, model, think_open=False)
    return Job(model, asked.conversation, asked.sampling, Prompt(prompt.token_ids, think_open=False), grammar)


def _loaded(lines: Lines) -> wire.Object:
    return lines.last(Usage(0, 0, 0, 0)) | {"done_reason": "load"}
