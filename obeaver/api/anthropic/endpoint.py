"""`POST /v1/messages` and `/v1/messages/count_tokens`."""

from typing import TypeVar

from obeaver.api.anthropic.answers import MessageEvents, whole_message
from obeaver.api.anthropic.request import CountRequest, MessagesRequest, parse_count_request, parse_messages_request
from obeaver.api.core.endpoint import Endpoint
from obeaver.api.core.job import Job, prepare, start
from obeaver.api.core.prompt import make_prompt
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream

A = TypeVar("A", JSONResponse, EventStream)


class MessagesApi(Endpoint):
    """Handlers of the Messages endpoints."""

    async def create(self, request: Request) -> JSONResponse | EventStream:
        """`POST /v1/messages`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        asked, job = await self.prepare(request, parse_messages_request, _prepared)
        generation = start(job)
        head = self.head(job.model, "msg_")
        if asked.stream:
            events = MessageEvents(head, len(job.prompt.token_ids))
            return _with_id(self.streamed(request, generation, events), request)
        return _with_id(await self.whole(request, generation, whole_message(generation, head)), request)

    async def count_tokens(self, request: Request) -> JSONResponse:
        """`POST /v1/messages/count_tokens`.

        Raises:
            ApiError: The request is wrong, or there is no model to count for.
        """
        _, num_tokens = await self.prepare(request, parse_count_request, _counted)
        return _with_id(JSONResponse({"input_tokens": num_tokens}), request)


def _with_id(answer: A, request: Request) -> A:
    """Every answer of Anthropic's has the request's id under this name, and SDKs show it. Source: its API overview."""
    answer.headers["request-id"] = request.request_id
    return answer


def _prepared(model: LoadedModel, asked: MessagesRequest) -> Job:
    return prepare(model, asked.conversation, asked.sampling)


def _counted(model: LoadedModel, asked: CountRequest) -> int:
    return len(make_prompt(model, asked.conversation).token_ids)
