"""`POST /api/embed` and `/api/embeddings`: vectors in Ollama's words."""

import time
from collections.abc import Callable

from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.encoders.embeddings import EmbeddingRequest, read_embeddings
from obeaver.api.encoders.endpoint import Encoded, EncoderEndpoint
from obeaver.api.encoders.inputs import GivenTexts
from obeaver.api.encoders.state import EmbedState
from obeaver.api.ollama.names import tagged_name
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse


class EmbedApi(EncoderEndpoint):
    """Handlers of the endpoints that make vectors.

    Args:
        state: The server's.
        now_ns: Nanoseconds, monotonic.
    """

    def __init__(self, state: EmbedState, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        super().__init__(state)
        self._now_ns = now_ns

    async def embed(self, request: Request) -> JSONResponse:
        """`POST /api/embed`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        begun_ns = self._now_ns()
        encoded = await self.encode(request, parse_embed, read_embeddings)

        def answer(done: Encoded[EmbeddingRequest]) -> wire.Object:
            return {
                "model": tagged_name(done.model.name),
                "embeddings": _vectors(done),
                "total_duration": self._now_ns() - begun_ns,
                "load_duration": 0,
                "prompt_eval_count": done.inputs.num_tokens,
            }

        return await self.answer(encoded, answer)

    async def embedding(self, request: Request) -> JSONResponse:
        """`POST /api/embeddings`: one text.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        encoded = await self.encode(request, parse_embedding, read_embeddings)
        return await self.answer(encoded, lambda done: {"embedding": _vectors(done)[0]})


def parse_embed(body: object) -> EmbeddingRequest:
    """The body of `/api/embed`.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("ollama_embed", body)
    texts = GivenTexts(request["input"], truncate=request["truncate"])
    return EmbeddingRequest(texts, request["dimensions"], "float")


def parse_embedding(body: object) -> EmbeddingRequest:
    """The body of `/api/embeddings`.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("ollama_embedding", body)
    return EmbeddingRequest(GivenTexts(request["prompt"], truncate=True, at="prompt"), None, "float")


def _vectors(done: Encoded[EmbeddingRequest]) -> list[list[float]]:
    num_dimensions = done.asked.dimensions
    return (done.rows if num_dimensions is None else done.rows.first(num_dimensions)).floats()
