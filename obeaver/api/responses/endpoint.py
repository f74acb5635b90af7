"""`POST /v1/responses`."""

from obeaver.api.core.endpoint import Endpoint
from obeaver.api.core.job import Job, prepare, start
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.responses.answers import Answer, ResponseEvents, whole_response
from obeaver.api.responses.keeping import Keeping
from obeaver.api.responses.recall import recalled
from obeaver.api.responses.request import ResponsesRequest, parse_responses_request
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream


class ResponsesApi(Endpoint):
    """Handlers of the Responses endpoint."""

    async def create(self, request: Request) -> JSONResponse | EventStream:
        """`POST /v1/responses`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        given, is_long = await self.read(request, parse_responses_request)
        asked = await recalled(given, self._state.archive, request.caller)
        job = await self.made(asked, _prepared, in_thread=is_long or asked.items != given.items)
        generation = start(job)
        answer = Answer(self.head(job.model, "resp_"), asked.echo, self._keeping(request, asked))
        if asked.stream:
            return self.streamed(request, generation, ResponseEvents(answer))
        return await self.whole(request, generation, whole_response(generation, answer))

    def _keeping(self, request: Request, asked: ResponsesRequest) -> Keeping | None:
        archive = self._state.archive
        return Keeping(archive, request.caller, asked.items) if asked.store and archive is not None else None


def _prepared(model: LoadedModel, asked: ResponsesRequest) -> Job:
    return prepare(model, asked.conversation, asked.sampling)
