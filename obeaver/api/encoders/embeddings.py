"""`POST /v1/embeddings`: texts in, vectors of length 1 out, in the same order."""

import base64
from dataclasses import dataclass

from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.encoders.endpoint import Encoded, EncoderEndpoint, usage_object
from obeaver.api.encoders.inputs import GivenTexts, Inputs, embedding_inputs
from obeaver.api.encoders.state import LoadedEncoder
from obeaver.engine.encoding.worker import Rows
from obeaver.errors import BadRequest
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """A request that its schema accepts.

    Attributes:
        texts: What to embed.
        dimensions: How many numbers of each vector are wanted; None for all.
        encoding_format: `float` or `base64`.
    """

    texts: GivenTexts
    dimensions: int | None
    encoding_format: str


class EmbeddingsApi(EncoderEndpoint):
    """Handlers of the embeddings endpoint."""

    async def create(self, request: Request) -> JSONResponse:
        """`POST /v1/embeddings`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        encoded = await self.encode(request, parse_embeddings, read_embeddings)
        return await self.answer(encoded, embeddings_answer)


def parse_embeddings(body: object) -> EmbeddingRequest:
    """The request that a body means.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("embeddings", body)
    texts = GivenTexts(
        request["input"],
        truncate=request["truncate"],
        prompt_name=request["prompt_name"],
        input_type=request["input_type"],
    )
    return EmbeddingRequest(texts, request["dimensions"], request["encoding_format"])


def read_embeddings(model: LoadedEncoder, asked: EmbeddingRequest) -> Inputs:
    """What the encoder gets.

    Raises:
        BadRequest: It cannot be honoured by this model.
    """
    size = model.worker.size
    if asked.dimensions is not None and asked.dimensions > size:
        raise BadRequest(
            f"`dimensions` must be at most {size}: this model's vectors have no more",
            param="dimensions",
            code="invalid_value",
        )
    return embedding_inputs(model, asked.texts)


def embeddings_answer(encoded: Encoded[EmbeddingRequest]) -> wire.Object:
    """OpenAI's list of embeddings."""
    asked, rows = encoded.asked, encoded.rows
    if asked.dimensions is not None:
        rows = rows.first(asked.dimensions)
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(_written(rows, asked.encoding_format))
    ]
    usage = usage_object(encoded.inputs, cut=asked.texts.truncate)
    return {"object": "list", "data": data, "model": encoded.model.name, "usage": usage}


def _written(rows: Rows, encoding: str) -> list[list[float]] | list[str]:
    if encoding == "float":
        return rows.floats()
    return [base64.b64encode(row).decode("ascii") for row in rows.float32_bytes()]
