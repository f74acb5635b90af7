"""`POST /v1/rerank`: how well each document answers a query, best first. The shape is the one of Cohere and Jina."""

import math
from collections.abc import Sequence
from typing import Any

from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.encoders.embeddings import usage_object
from obeaver.api.encoders.inputs import Inputs, fitting
from obeaver.api.encoders.state import EmbedState, LoadedEncoder
from obeaver.engine.encoding.worker import Rows
from obeaver.errors import BadRequest
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import run_until_disconnect


class RerankApi:
    """Handlers of the rerank endpoint."""

    def __init__(self, state: EmbedState) -> None:
        self._state = state

    async def create(self, request: Request) -> JSONResponse:
        """`POST /v1/rerank`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        body = await request.json()
        model = self._state.models.current()
        parsed, inputs = await self._state.where_it_fits(
            lambda: _prepared(model, body), num_bytes=len(await request.body())
        )
        rows = await run_until_disconnect(request, model.worker.compute(inputs.texts))
        return JSONResponse(_answer(model, parsed, inputs, rows))


def _prepared(model: LoadedEncoder, body: object) -> tuple[dict[str, Any], Inputs]:
    request = parse("rerank", body)
    documents = [_document(value, f"documents[{index}]") for index, value in enumerate(request["documents"])]
    request["documents"] = documents
    limit = model.context_length
    (query,) = model.tokenizer.encode_inputs([(request["query"], "")])
    # One token of the document is the least that can be judged.
    fitting([query], ["query"], limit - 1)
    pairs = [(request["query"], document) for document in documents]
    inputs = model.tokenizer.encode_inputs(pairs, limit=limit if request["truncate"] else None)
    return request, fitting(inputs, [f"documents[{index}]" for index in range(len(documents))], limit)


def _document(value: Any, path: str) -> str:
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise BadRequest(f"`{path}` must be a text, or an object with a `text`", param=path, code="invalid_type")
    if not text:
        raise BadRequest(f"`{path}` must not be empty", param=path, code="invalid_value")
    return text


def _answer(model: LoadedEncoder, request: dict[str, Any], inputs: Inputs, rows: Rows) -> wire.Object:
    scores = [relevance(row) for row in rows.floats()]
    best_first = sorted(range(len(scores)), key=lambda index: -scores[index])
    results = [_result(index, scores[index], request) for index in best_first[: request["top_n"]]]
    return {
        "object": "list",
        "model": model.name,
        "results": results,
        "usage": usage_object(inputs, cut=request["truncate"]),
    }


def _result(index: int, score: float, request: dict[str, Any]) -> wire.Object:
    result = {"index": index, "relevance_score": score}
    return result | {"document": {"text": request["documents"][index]}} if request["return_documents"] else result


def relevance(logits: Sequence[float]) -> float:
    """From 0 to 1: of one logit its sigmoid, of two the share of the second."""
    x = logits[0] if len(logits) == 1 else logits[1] - logits[0]
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
