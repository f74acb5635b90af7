"""`POST /v1/chat/completions`: from the request to a generation, and back as an answer or a stream."""

from obeaver.api.chat.answers import ChatChunks, whole_answer
from obeaver.api.chat.request import ChatRequest, parse_chat_request
from obeaver.api.core.endpoint import Endpoint
from obeaver.api.core.job import Job, prepare, start
from obeaver.api.models.loaded_model import LoadedModel
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
        asked, job = await self.prepare(request, parse_chat_request, _prepared)
        generation = start(job)
        head = self.head(job.model, "chatcmpl-")
        if asked.stream:
            timed = generation if asked.timings else None
            chunks = ChatChunks(head, include_usage=asked.include_usage, timed=timed)
            return self.streamed(request, generation, chunks)
        answer = whole_answer(generation, head, asked)
        return await self.whole(request, generation, answer)


def _prepared(model: LoadedModel, asked: ChatRequest) -> Job:
    return prepare(model, asked.conversation, asked.sampling)
