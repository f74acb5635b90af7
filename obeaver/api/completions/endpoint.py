"""`POST /v1/completions`: texts that go on where a prompt ends."""

from obeaver.api.completions.answers import CompletionChunks, whole_completion
from obeaver.api.completions.job import prepare_completion, start_completion
from obeaver.api.core.endpoint import Endpoint
from obeaver.api.core.sampling import includes_usage
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
        job = await self.prepare(request, prepare_completion)
        generation = start_completion(job)
        head = self.head(job.model, "cmpl")
        if job.request["stream"]:
            chunks = CompletionChunks(job, generation, head, include_usage=includes_usage(job.request))
            return self.streamed(request, generation, chunks)
        return await self.whole(request, generation, whole_completion(job, generation, head))
