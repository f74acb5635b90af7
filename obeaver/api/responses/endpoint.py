"""`POST /v1/responses` and `/v1/responses/input_tokens`."""

from obeaver.api.core.endpoint import Endpoint
from obeaver.api.core.generation import Generation
from obeaver.api.core.job import Job, start
from obeaver.api.core.prompt import make_prompt
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.state import ApiState
from obeaver.api.responses.answers import Answer, ResponseEvents, whole_response
from obeaver.api.responses.background import BackgroundResponse, BackgroundResponses
from obeaver.api.responses.keeping import Keeping
from obeaver.api.responses.recall import NOT_STORED, recalled
from obeaver.api.responses.request import ResponsesRequest, parse_responses_request
from obeaver.api.responses.truncation import fitting_job
from obeaver.errors import ArchiveUnavailable, BadRequest
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream


class ResponsesApi(Endpoint):
    """Handlers of the Responses endpoint.

    Args:
        state: The server's.
        background: Its responses that are made while nobody waits.
    """

    def __init__(self, state: ApiState, background: BackgroundResponses) -> None:
        super().__init__(state)
        self._background = background

    async def create(self, request: Request) -> JSONResponse | EventStream:
        """`POST /v1/responses`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        given, is_long = await self.read(request, parse_responses_request)
        self._check(given, request.caller)
        asked = await recalled(given, self._state.archive, request.caller)
        job, num_dropped = await self.made(asked, _prepared, in_thread=is_long or asked.items != given.items)
        generation = start(job)
        echo = asked.echo | ({"dropped_items": num_dropped} if asked.truncates else {})
        answer = Answer(self.head(job.model, "resp_"), echo, self._keeping(request, asked))
        if asked.background:
            return await self._in_background(request, asked, generation, answer)
        if asked.stream:
            return self.streamed(request, generation, ResponseEvents(answer))
        return await self.whole(request, generation, whole_response(generation, answer))

    async def count(self, request: Request) -> JSONResponse:
        """`POST /v1/responses/input_tokens`: all of the conversation, also where `truncation` would drop some of it.

        Raises:
            ApiError: The request is wrong, or there is no model to count for.
        """
        given, is_long = await self.read(request, parse_responses_request)
        self._check_previous(given, request.caller)
        asked = await recalled(given, self._state.archive, request.caller)
        num_tokens = await self.made(asked, _counted, in_thread=is_long or asked.items != given.items)
        return JSONResponse({"object": "response.input_tokens", "input_tokens": num_tokens})

    def _check_previous(self, asked: ResponsesRequest, owner: str) -> None:
        """Refuse what cannot be gone on with."""
        previous, param = asked.previous_response_id, "previous_response_id"
        if previous is not None and self._background.is_under_way(previous, owner):
            message = f"The response of `{param}` is still being made: wait for its end, or cancel it."
            raise BadRequest(message, param=param, code="response_in_progress")

    def _check(self, asked: ResponsesRequest, owner: str) -> None:
        """Refuse what cannot be gone on with, and what nobody could look at later."""
        self._check_previous(asked, owner)
        if asked.background and self._state.archive is None:
            message = f"`background` is not supported: {NOT_STORED.partition(';')[0]}."
            raise BadRequest(message, param="background", code="unsupported_parameter")
        if asked.background and not asked.store:
            raise BadRequest("`background` needs `store`.", param="background", code="invalid_value")

    def _keeping(self, request: Request, asked: ResponsesRequest) -> Keeping | None:
        archive = self._state.archive
        return Keeping(archive, request.caller, asked.items) if asked.store and archive is not None else None

    async def _in_background(
        self, request: Request, asked: ResponsesRequest, generation: Generation, answer: Answer
    ) -> JSONResponse | EventStream:
        made = BackgroundResponse(request.caller, generation, answer)
        try:
            if not await answer.secure():
                raise ArchiveUnavailable("The response cannot be stored now; the server's log says why.")
        except BaseException:
            generation.cancel()
            raise
        self._background.start(made)
        if asked.stream:
            return EventStream(made.events(), keep_alive_s=self._state.stream_keep_alive_s)
        return JSONResponse(made.response)


def _prepared(model: LoadedModel, asked: ResponsesRequest) -> tuple[Job, int]:
    return fitting_job(model, asked)


def _counted(model: LoadedModel, asked: ResponsesRequest) -> int:
    return len(make_prompt(model, asked.conversation).token_ids)
