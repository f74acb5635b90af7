"""`/v1/rerank` over a small random cross-encoder."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.embed_app import RERANK, ServedEncoder, serving
from support.tiny_encoder import write_reranker

from obeaver.api.encoders.rerank import MOST_QUERY_CHARS, relevance
from obeaver.text.long_texts import MOST_CHARS

DOCUMENTS = ["w1 w2", "w30 w31 w32", {"text": "w7"}, "w50"]

EDGES = 20
"""Tokens by which a far too long text is counted wrongly at most: one at each edge of its pieces."""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[ServedEncoder]:
    async with serving(write_reranker(tmp_path)) as running:
        yield running


async def answer(served: ServedEncoder, **parameters: Any) -> dict[str, Any]:
    reply = await served.post(RERANK, **({"query": "w1 w5", "documents": DOCUMENTS} | parameters))
    assert reply.status == 200, reply.body
    body: dict[str, Any] = reply.json()
    return body


async def test_documents_come_back_best_first_with_scores_from_0_to_1(served: ServedEncoder) -> None:
    body = await answer(served)
    scores = [result["relevance_score"] for result in body["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert sorted(result["index"] for result in body["results"]) == [0, 1, 2, 3]
    assert body["model"] == "tiny-reranker"
    assert body["usage"]["prompt_tokens"] == 4 * 5 + 2 + 3 + 1 + 1


async def test_a_score_is_the_documents_own(served: ServedEncoder) -> None:
    together = {result["index"]: result["relevance_score"] for result in (await answer(served))["results"]}
    (alone,) = (await answer(served, documents=[DOCUMENTS[1]]))["results"]
    assert alone["relevance_score"] == pytest.approx(together[1], abs=1e-6)


async def test_only_the_best_are_sent_when_asked_and_their_texts_too(served: ServedEncoder) -> None:
    whole = (await answer(served))["results"]
    best = (await answer(served, top_n=2, return_documents=True))["results"]
    assert [result["index"] for result in best] == [result["index"] for result in whole[:2]]
    given = [document["text"] if isinstance(document, dict) else document for document in DOCUMENTS]
    assert [result["document"]["text"] for result in best] == [given[result["index"]] for result in best]


async def test_a_long_document_is_cut_only_when_asked(served: ServedEncoder) -> None:
    long = " ".join(["w3"] * 30)
    reply = await served.post(RERANK, query="w1", documents=["w2", long])
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, "documents[1]", "context_length_exceeded")
    body = await answer(served, query="w1", documents=["w2", long], truncate=True)
    assert body["usage"] == {"prompt_tokens": 5 + 16, "total_tokens": 21, "truncated_tokens": 18}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "query", "missing_required_parameter"),
        ({"query": "w1"}, "documents", "missing_required_parameter"),
        ({"query": "", "documents": ["w1"]}, "query", "invalid_value"),
        ({"query": ["w1"], "documents": ["w1"]}, "query", "invalid_type"),
        ({"query": "w1", "documents": []}, "documents", "invalid_value"),
        ({"query": "w1", "documents": "w1"}, "documents", "invalid_type"),
        ({"query": "w1", "documents": ["w1", 5]}, "documents[1]", "invalid_type"),
        ({"query": "w1", "documents": ["w1", {"title": "w2"}]}, "documents[1]", "invalid_type"),
        ({"query": "w1", "documents": ["w1", ""]}, "documents[1]", "invalid_value"),
        ({"query": "w1", "documents": ["w1"] * 2049}, "documents", "invalid_value"),
        ({"query": "w1", "documents": ["w1"], "top_n": 0}, "top_n", "invalid_value"),
        ({"query": " ".join(["w1"] * 20), "documents": ["w1"]}, "query", "context_length_exceeded"),
    ],
)
async def test_a_bad_body_gets_its_error(served: ServedEncoder, body: dict[str, Any], param: str, code: str) -> None:
    reply = await served.post(RERANK, **body)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, param, code)


async def test_far_too_long_texts_are_refused_by_name(served: ServedEncoder) -> None:
    async def refusal(**parameters: Any) -> tuple[Any, ...]:
        reply = await served.post(RERANK, **({"query": "w1", "documents": ["w2"]} | parameters))
        error = reply.json()["error"]
        return reply.status, error["param"], error["code"]

    words = "w3 " * 100_000
    too_many_chars = "string_above_max_length"
    assert await refusal(query=words) == (400, "query", "context_length_exceeded")
    assert await refusal(documents=["w2", words]) == (400, "documents[1]", "context_length_exceeded")
    assert await refusal(documents=["w2", "x" * (MOST_CHARS + 1)]) == (400, "documents[1]", too_many_chars)
    many = 1000
    assert await refusal(query="x" * (MOST_QUERY_CHARS // many + 1), documents=["w2"] * many) == (
        400,
        "query",
        too_many_chars,
    )


async def test_a_far_too_long_document_is_cut_when_asked(served: ServedEncoder) -> None:
    body = await answer(served, documents=["w2 " * 400_000], truncate=True)
    assert body["usage"]["truncated_tokens"] == pytest.approx(400_000 + 5 - 16, abs=EDGES)


async def test_a_reranker_makes_no_vectors(served: ServedEncoder) -> None:
    assert (await served.post("/v1/embeddings", input="w1")).status == 404
    assert "POST /v1/rerank" in (await served.get("/")).json()["endpoints"]


def test_one_logit_gives_a_sigmoid_and_two_a_share() -> None:
    assert relevance([0.0]) == 0.5
    assert relevance([2.0]) == pytest.approx(1 - relevance([-2.0]))
    assert relevance([1.0, 3.0]) == pytest.approx(math.exp(3) / (math.exp(1) + math.exp(3)))
    assert relevance([-1000.0]) == 0.0
