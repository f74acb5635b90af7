"""`POST /v1/rerank`: how well each document answers a query, best first. The shape is the one of Cohere and Jina."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.encoders.endpoint import Encoded, EncoderEndpoint, usage_object
from obeaver.api.encoders.inputs import Inputs, beginnings, encoded, fitting, with_rests
from obeaver.api.encoders.prompted_pairs import prompted_pairs
from obeaver.api.encoders.state import LoadedEncoder
from obeaver.errors import BadRequest
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse

MOST_QUERY_CHARS: Final = 16_000_000
"""Characters of a query by the documents, since each of them is read with it: 8,000 for as many as there may be."""


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A request that holds to every rule that does not depend on a model.

    Attributes:
        query: What is asked.
        documents: What may answer it.
        top_n: How many of the best to tell of; None for all.
        return_documents: Whether to send them back.
        truncate: Whether a text that is too long may be cut.
    """

    query: str
    documents: tuple[str, ...]
    top_n: int | None
    return_documents: bool
    truncate: bool


class RerankApi(EncoderEndpoint):
    """Handlers of the rerank endpoint."""

    async def create(self, request: Request) -> JSONResponse:
        """`POST /v1/rerank`.

        Raises:
            ApiError: The request is wrong, or the engine does not take it.
        """
        encoded = await self.encode(request, parse_rerank, _read)
        return await self.answer(encoded, _answer)


def parse_rerank(body: object) -> RerankRequest:
    """The request that a body means.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("rerank", body)
    documents = tuple(_document(value, f"documents[{index}]") for index, value in enumerate(request["documents"]))
    return RerankRequest(
        request["query"], documents, request["top_n"], request["return_documents"], request["truncate"]
    )


def _document(value: Any, path: str) -> str:
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise BadRequest(f"`{path}` must be a text, or an object with a `text`", param=path, code="invalid_type")
    if not text:
        raise BadRequest(f"`{path}` must not be empty", param=path, code="invalid_value")
    return text


def _read(model: LoadedEncoder, asked: RerankRequest) -> Inputs:
    limit, pair = model.context_length, model.facts.pair
    if len(asked.query) * len(asked.documents) > MOST_QUERY_CHARS:
        raise BadRequest(
            f"`query` is too long for so many documents: it may have {MOST_QUERY_CHARS:,} characters by their number.",
            param="query",
            code="string_above_max_length",
        )
    beginnings(model, [asked.query], ["query"], cut=False)
    (query,) = model.tokenizer.encode_inputs([(asked.query, "")])
    # One token of the document is the least that can be judged.
    fitting([query], ["query"], limit - 1)
    paths = [f"documents[{index}]" for index in range(len(asked.documents))]
    if pair is None:
        inputs = encoded(model, asked.documents, paths, cut=asked.truncate, query=asked.query)
    else:
        parts = beginnings(model, asked.documents, paths, cut=asked.truncate)
        cut = limit if asked.truncate else None
        inputs = prompted_pairs(model.tokenizer, pair, asked.query, [part.text for part in parts], limit=cut)
        inputs = with_rests(inputs, parts, paths)
    return fitting(inputs, paths, limit)


def _answer(encoded: Encoded[RerankRequest]) -> wire.Object:
    asked = encoded.asked
    scores = [relevance(row) for row in encoded.rows.floats()]
    best_first = sorted(range(len(scores)), key=lambda index: -scores[index])
    return {
        "object": "list",
        "model": encoded.model.name,
        "results": [_result(index, scores[index], asked) for index in best_first[: asked.top_n]],
        "usage": usage_object(encoded.inputs, cut=asked.truncate),
    }


def _result(index: int, score: float, asked: RerankRequest) -> wire.Object:
    result = {"index": index, "relevance_score": score}
    return result | {"document": {"text": asked.documents[index]}} if asked.return_documents else result


def relevance(logits: Sequence[float]) -> float:
    """From 0 to 1: of one logit its sigmoid, of two the share of the second."""
    x = logits[0] if len(logits) == 1 else logits[1] - logits[0]
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
