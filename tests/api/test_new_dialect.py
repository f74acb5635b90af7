"""A dialect that nobody has thought of yet: all that it takes is a parser, a writer, a shape of errors and a row."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from support import asgi

from obeaver.api.contract.operations import Operation
from obeaver.api.core.answer_stream import StreamWriter
from obeaver.api.core.blocks import BlockBegun, BlockDelta, Blocks
from obeaver.api.core.conversation import Conversation, UserMessage, text_parts
from obeaver.api.core.dialect import Dialect
from obeaver.api.core.endpoint import Endpoint
from obeaver.api.core.job import Job, prepare, start
from obeaver.api.core.outputs import Ended, Output
from obeaver.api.core.sampling import Sampling, sampling_of
from obeaver.api.core.usage import Usage
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.state import ApiState
from obeaver.errors import ApiError, BadRequest
from obeaver.web import ndjson
from obeaver.web.error_shape import ErrorShape
from obeaver.web.middleware import ErrorBoundary
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse, Response
from obeaver.web.router import Handler, Route, Router
from obeaver.web.stream import LINES, EventStream, Framing
from obeaver.web.types import ASGIApp, Scope


@dataclass(frozen=True, slots=True)
class Question:
    """What a body asks for."""

    model: str
    conversation: Conversation
    sampling: Sampling

    @property
    def takes_compiling(self) -> bool:
        return self.conversation.takes_compiling


def parse_question(body: object) -> Question:
    if not isinstance(body, dict) or not isinstance(body.get("ask"), str):
        raise BadRequest("`ask` must be a text.", param="ask")
    conversation = Conversation(messages=(UserMessage(text_parts(body["ask"])),), at="ask")
    return Question("", conversation, sampling_of({"temperature": 0, "stop": body.get("until")}, max_tokens=100))


class Lines(StreamWriter):
    """A line for each block that begins, for each piece of it, and for the end."""

    framing: ClassVar[Framing] = LINES

    def __init__(self) -> None:
        self._blocks = Blocks()

    def begin(self) -> bytes:
        return ndjson.line({"begin": True})

    def of(self, output: Output) -> bytes:
        lines: list[object] = []
        for event in self._blocks.of(output):
            if isinstance(event, BlockBegun):
                lines.append({"block": event.block.kind})
            elif isinstance(event, BlockDelta):
                lines.append({"add": event.text})
        if isinstance(output, Ended):
            lines.append({"why": output.finish_reason, "until": output.stop_string})
        return b"".join(map(ndjson.line, lines))

    def end(self, usage: Usage) -> bytes:
        return ndjson.line({"tokens": usage.completion})


class OneWord(ErrorShape):
    """Errors are one word."""

    def response(self, error: ApiError, scope: Scope) -> Response:
        return JSONResponse({"sorry": error.code, "at": error.param}, status=error.status, headers=error.headers)

    def last_event(self, error: ApiError) -> bytes:
        return ndjson.line({"sorry": error.code})


class AskApi(Endpoint):
    """The one handler."""

    async def ask(self, request: Request) -> EventStream:
        _, job = await self.prepare(request, parse_question, _prepared)
        return self.streamed(request, start(job), Lines())


def _prepared(model: LoadedModel, question: Question) -> Job:
    return prepare(model, question.conversation, question.sampling)


def handlers(state: ApiState) -> Mapping[str, Handler]:
    return {"ask": AskApi(state).ask}


ASK = Dialect(
    operations=(Operation("ask", "POST", "/ask", "Ask", response="Ask"),), handlers=handlers, errors=OneWord()
)


def application(state: ApiState) -> ASGIApp:
    found = ASK.handlers(state)
    router = Router(Route(row.method, row.path, found[row.id], ASK.errors) for row in ASK.operations)
    return ErrorBoundary(router, shape_of=router.error_shape)


Serve = Callable[..., AbstractAsyncContextManager[Any]]


async def lines_of(state: ApiState, **body: Any) -> list[Any]:
    reply = await asgi.request(application(state), "POST", "/ask", data=body)
    assert reply.status == 200, reply.body
    return [json.loads(line) for line in reply.body.splitlines()]


async def test_a_new_dialect_says_in_its_words_what_the_core_says(serve: Serve) -> None:
    async with serve() as served:
        whole = (await served.answer())["choices"][0]["message"]["content"]
        begin, block, *pieces, why, tokens = await lines_of(served.state, ask="Hi")
    assert (begin, block) == ({"begin": True}, {"block": "text"})
    assert "".join(piece["add"] for piece in pieces) == whole
    assert why == {"why": "stop", "until": None}
    assert tokens["tokens"] > 0


async def test_its_words_reach_the_core_and_come_back(serve: Serve) -> None:
    async with serve() as served:
        content = (await served.answer())["choices"][0]["message"]["content"]
        lines = await lines_of(served.state, ask="Hi", until=content[3:])
    assert {"why": "stop", "until": content[3:]} in lines


@pytest.mark.parametrize(
    ("method", "body", "status", "told"),
    [
        ("POST", b"{", 400, {"sorry": "invalid_json", "at": None}),
        ("POST", b"{}", 400, {"sorry": None, "at": "ask"}),
        ("POST", json.dumps({"ask": "a" * 20_000}).encode(), 400, {"sorry": "context_length_exceeded", "at": "ask"}),
        ("GET", b"", 405, {"sorry": "method_not_allowed", "at": None}),
    ],
)
async def test_its_errors_have_its_shape_and_name_its_parameters(
    serve: Serve, method: str, body: bytes, status: int, told: dict[str, Any]
) -> None:
    async with serve() as served:
        headers = {"content-type": "application/json"}
        reply = await asgi.request(application(served.state), method, "/ask", body=body, headers=headers)
    assert (reply.status, reply.json()) == (status, told)


async def test_a_stream_that_breaks_ends_in_its_words(serve: Serve) -> None:
    async with serve(fails=lambda num_runs: num_runs > 3) as served:
        lines = await lines_of(served.state, ask="Hi")
    assert lines[0] == {"begin": True}
    assert lines[-1] == {"sorry": "engine_failed"}
