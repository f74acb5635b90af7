"""`POST /v1/responses`."""

from obeaver.api.core.endpoint import Endpoint
from obeaver.api.core.job import Job, prepare, start
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.responses.answers import ResponseEvents, whole_response
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
        asked, job = await self.prepare(request, parse_responses_request, _prepared)
        generation = start(job)
        head = self.head(job.model, "resp_")
        if asked.stream:
            return self.streamed(request, generation, ResponseEvents(head, asked.echo))
        return await self.whole(request, generation, whole_response(generation, head, asked.echo))


def _prepared(model: LoadedModel, asked: ResponsesRequest) -> Job:
    return prepare(model, asked.conversation, asked.sampling)
