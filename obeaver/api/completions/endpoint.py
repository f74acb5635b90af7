"""`POST /v1/completions`: texts that go on where a prompt ends."""

from obeaver.api.completions.answers import CompletionChunks, whole_completion
from obeaver.api.completions.job import prepare_completion, start_completion
from obeaver.api.completions.request import parse_completion
from obeaver.api.core.endpoint import Endpoint
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream


class CompletionsApi(Endpoint):
    """Handlers of the completions endpoint."""

    async def create(self, request: Request) -> JSONResponse | EventStream:
        """`POST /v1/completions`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        asked, job = await self.prepare(request, parse_completion, prepare_completion)
        generation = start_completion(job)
        head = self.head(job.model, "cmpl-")
        if asked.stream:
            chunks = CompletionChunks(job, generation, head)
            return self.streamed(request, generation, chunks)
        return await self.whole(request, generation, whole_completion(job, generation, head))
