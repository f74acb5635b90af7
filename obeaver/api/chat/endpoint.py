"""`POST /v1/chat/completions`: from the request to a generation, and back as an answer or a stream."""

from obeaver.api.chat.answers import ChatChunks, whole_answer
from obeaver.api.chat.job import prepare_chat, start_chat
from obeaver.api.core.endpoint import Endpoint
from obeaver.api.core.sampling import includes_usage
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream


class ChatApi(Endpoint):
    """Handlers of the chat endpoint."""

    async def create(self, request: Request) -> JSONResponse | EventStream:
        """`POST /v1/chat/completions`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        job = await self.prepare(request, prepare_chat)
        generation = start_chat(job)
        head = self.head(job.model, "chatcmpl")
        if job.request["stream"]:
            return self.streamed(request, generation, ChatChunks(head, include_usage=includes_usage(job.request)))
        answer = whole_answer(generation, head, logprobs=job.request["logprobs"])
        return await self.whole(request, generation, answer)
