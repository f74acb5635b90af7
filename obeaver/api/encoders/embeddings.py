"""`POST /v1/embeddings`: texts in, vectors of length 1 out, in the same order."""

import base64
from typing import Any

from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.encoders.inputs import Inputs, embedding_inputs
from obeaver.api.encoders.state import EmbedState, LoadedEncoder
from obeaver.engine.encoding.worker import Rows
from obeaver.errors import BadRequest
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import run_until_disconnect

BYTES_OF_A_NUMBER = 20
"""In JSON, about."""


class EmbeddingsApi:
    """Handlers of the embeddings endpoint."""

    def __init__(self, state: EmbedState) -> None:
        self._state = state

    async def create(self, request: Request) -> JSONResponse:
        """`POST /v1/embeddings`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        body = await request.json()
        model = self._state.models.current()
        parsed, inputs = await self._state.where_it_fits(
            lambda: prepare_embeddings(model, body), num_bytes=len(await request.body())
        )
        rows = await run_until_disconnect(request, model.worker.compute(inputs.texts))
        num_numbers = len(inputs.texts) * model.worker.size
        return await self._state.where_it_fits(
            lambda: JSONResponse(embeddings_answer(model, parsed, inputs, rows)),
            num_bytes=BYTES_OF_A_NUMBER * num_numbers // 4,
        )


def prepare_embeddings(model: LoadedEncoder, body: object) -> tuple[dict[str, Any], Inputs]:
    """The request that a body means, and what the encoder gets.

    Raises:
        BadRequest: It cannot be honoured.
    """
    request = parse("embeddings", body)
    size = model.worker.size
    if request["dimensions"] is not None and request["dimensions"] > size:
        raise BadRequest(
            f"`dimensions` must be at most {size}: this model's vectors have no more",
            param="dimensions",
            code="invalid_value",
        )
    return request, embedding_inputs(model, request)


def embeddings_answer(model: LoadedEncoder, request: dict[str, Any], inputs: Inputs, rows: Rows) -> wire.Object:
    """OpenAI's list of embeddings."""
    if request["dimensions"] is not None:
        rows = rows.first(request["dimensions"])
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(_written(rows, request["encoding_format"]))
    ]
    return {"object": "list", "data": data, "model": model.name, "usage": usage_object(inputs, cut=request["truncate"])}


def _written(rows: Rows, encoding: str) -> list[list[float]] | list[str]:
    if encoding == "float":
        return rows.floats()
    return [base64.b64encode(row).decode("ascii") for row in rows.float32_bytes()]


def usage_object(inputs: Inputs, *, cut: bool) -> wire.Object:
    """Tokens that were computed; with `cut`, also those that were cut off."""
    usage = {"prompt_tokens": inputs.num_tokens, "total_tokens": inputs.num_tokens}
    return usage | {"truncated_tokens": inputs.num_cut} if cut else usage
