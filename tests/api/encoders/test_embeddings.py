"""`/v1/embeddings` over a small random model, from the body to the answer."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference.encoder import hidden_states, mean_vector
from support import asgi
from support.embed_app import EMBEDDINGS, ServedEncoder, serving
from support.tiny_encoder import (
    HIDDEN,
    WORDS,
    bert_config,
    bert_weights,
    write_json,
    write_pooling,
    write_safetensors,
    write_sentence_transformer,
)

from obeaver.errors import ModelError
from obeaver.models.encoder.importer import import_encoder
from obeaver.models.progress import SilentProgress
from obeaver.text.long_texts import MOST_CHARS

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("bad_embedding_requests.json").read_text("utf-8"))
CONTEXT = 16


def build(tmp_path: Path) -> Path:
    source = write_sentence_transformer(tmp_path / "source", bert_weights(), bert_config())
    write_json(
        source / "config_sentence_transformers.json",
        {"prompts": {"query": "query : ", "passage": "passage : "}, "default_prompt_name": None},
    )
    folder = tmp_path / "tiny-bert"
    folder.mkdir()
    import_encoder(source, folder, weights="fp32", name="tiny-bert", progress=SilentProgress())
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build(tmp_path)


@pytest.fixture
async def served(folder: Path) -> AsyncIterator[ServedEncoder]:
    async with serving(folder) as running:
        yield running


def ids_of(text: str) -> list[int]:
    known = {word: index for index, word in enumerate(WORDS)}
    return [known["[CLS]"], *(known[word] for word in text.split()), known["[SEP]"]]


def expected(text: str) -> list[float]:
    weights = {name: array.astype(np.float64) for name, array in bert_weights().items()}
    ids = ids_of(text)
    vector: list[float] = mean_vector(hidden_states(weights, bert_config(), ids, [0] * len(ids))).tolist()
    return vector


async def test_texts_get_their_vectors_in_order_and_usage_counts_real_tokens(served: ServedEncoder) -> None:
    texts = ["w1 w2 w3", "w4", "w5 w6"]
    answer = await served.embed(texts, model="whatever")
    assert [item["index"] for item in answer["data"]] == [0, 1, 2]
    np.testing.assert_allclose([item["embedding"] for item in answer["data"]], list(map(expected, texts)), atol=1e-5)
    assert answer["usage"] == {"prompt_tokens": 5 + 3 + 4, "total_tokens": 12}
    assert (answer["object"], answer["model"]) == ("list", "tiny-bert")


async def test_one_text_is_an_array_of_one(served: ServedEncoder) -> None:
    assert await served.vectors("w1 w2") == await served.vectors(["w1 w2"])


async def test_token_ids_are_taken_as_they_are(served: ServedEncoder) -> None:
    (whole,) = await served.vectors("w1 w2")
    assert await served.vectors(ids_of("w1 w2")) == [whole]
    assert await served.vectors([ids_of("w1 w2"), [float(n) for n in ids_of("w1 w2")]]) == [whole, whole]
    assert (await served.embed([5, 6, 7]))["usage"]["prompt_tokens"] == 3


async def test_base64_holds_the_same_numbers(served: ServedEncoder) -> None:
    texts = ["w1 w2", "w3"]
    written = await served.vectors(texts, encoding_format="base64")
    assert [np.frombuffer(base64.b64decode(text), "<f4").tolist() for text in written] == await served.vectors(texts)


async def test_fewer_dimensions_are_the_first_ones_at_length_one(served: ServedEncoder) -> None:
    (whole,) = await served.vectors("w1 w2")
    (short,) = await served.vectors("w1 w2", dimensions=5)
    np.testing.assert_allclose(short, np.array(whole[:5]) / np.linalg.norm(whole[:5]), atol=1e-6)
    assert await served.vectors("w1 w2", dimensions=HIDDEN) == [whole]


async def test_a_vector_does_not_depend_on_what_runs_beside_it(served: ServedEncoder) -> None:
    texts = [" ".join(f"w{(n * k) % 60}" for k in range(1, 2 + n % 12)) for n in range(64)]
    alone = [(await served.vectors(text))[0] for text in texts]
    together = await served.vectors(texts)
    crowd = await asyncio.gather(*(served.vectors(texts[n:] + texts[:n]) for n in range(8)))
    np.testing.assert_allclose(together, alone, atol=1e-6)
    for n, vectors in enumerate(crowd):
        np.testing.assert_allclose(vectors, alone[n:] + alone[:n], atol=1e-6)


async def test_a_long_text_is_cut_only_when_asked_and_usage_tells_it(served: ServedEncoder) -> None:
    long = " ".join(f"w{n}" for n in range(30))
    answer = await served.embed([long, "w0"], truncate=True)
    assert answer["usage"] == {"prompt_tokens": CONTEXT + 3, "total_tokens": CONTEXT + 3, "truncated_tokens": 16}
    np.testing.assert_allclose(
        answer["data"][0]["embedding"], expected(" ".join(f"w{n}" for n in range(14))), atol=1e-5
    )
    ids = await served.embed([5] * 20, truncate=True)
    assert ids["usage"]["truncated_tokens"] == 4


async def test_a_refused_text_is_told_both_numbers(served: ServedEncoder) -> None:
    reply = await served.post(EMBEDDINGS, input=" ".join(["w0"] * 30))
    assert "32" in reply.error["message"]
    assert str(CONTEXT) in reply.error["message"]


async def test_a_text_that_is_far_too_long_is_cut_to_the_same_vector_and_counted(served: ServedEncoder) -> None:
    num_words = 400_000
    answer = await served.embed("w1 " * num_words, truncate=True)
    assert answer["data"][0]["embedding"] == pytest.approx(
        (await served.vectors("w1 " * 20, truncate=True))[0], abs=1e-5
    )
    assert answer["usage"]["truncated_tokens"] == pytest.approx(num_words + 2 - CONTEXT, abs=20)


@pytest.mark.parametrize("truncate", [False, True])
async def test_a_text_of_few_tokens_and_too_many_characters_is_refused(served: ServedEncoder, truncate: bool) -> None:
    reply = await served.post(EMBEDDINGS, input=["w1", "x" * (MOST_CHARS + 1)], truncate=truncate)
    error = reply.json()["error"]
    assert (reply.status, error["param"], error["code"]) == (400, "input[1]", "string_above_max_length")


async def test_a_large_answer_is_written_piece_by_piece_and_is_the_same(served: ServedEncoder) -> None:
    answer = await served.embed(["w1"] * 300)
    assert [item["index"] for item in answer["data"]] == list(range(300))
    for item in answer["data"]:
        assert item == {
            "object": "embedding",
            "index": item["index"],
            "embedding": pytest.approx(expected("w1"), abs=1e-5),
        }


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"prompt_name": "query"}, "query : w1"),
        ({"input_type": "query"}, "query : w1"),
        ({"input_type": "search_query"}, "query : w1"),
        ({"input_type": "document"}, "passage : w1"),
        ({"input_type": "clustering"}, "w1"),
        ({}, "w1"),
    ],
)
async def test_a_prompt_goes_before_the_text(served: ServedEncoder, parameters: dict[str, Any], text: str) -> None:
    assert await served.vectors("w1", **parameters) == await served.vectors(text)


async def test_a_prompt_can_be_left_out_of_pooling(folder: Path) -> None:
    write_pooling(folder, "mean_tokens", include_prompt=False)
    async with serving(folder) as served:
        (vector,) = await served.vectors("w1 w2", prompt_name="query")
    weights = {name: array.astype(np.float64) for name, array in bert_weights().items()}
    ids = ids_of("query : w1 w2")
    hidden = hidden_states(weights, bert_config(), ids, [0] * len(ids))
    np.testing.assert_allclose(vector, mean_vector(hidden[3:]), atol=1e-5)


async def test_dense_layers_change_the_size_of_vectors(folder: Path) -> None:
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((7, HIDDEN)).astype(np.float32)
    write_json(folder / "2_Dense" / "config.json", {"activation_function": "torch.nn.Tanh", "bias": False})
    write_safetensors(folder / "2_Dense" / "model.safetensors", {"linear.weight": weight})
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense")]
    write_json(folder / "modules.json", [{"path": path, "type": f"x.{kind}"} for path, kind in kinds])
    async with serving(folder) as served:
        assert len((await served.vectors("w1"))[0]) == 7
        health = await served.get("/health")
    assert health.json()["dimensions"] == 7


async def test_an_unknown_activation_stops_the_start(folder: Path) -> None:
    write_json(folder / "2_Dense" / "config.json", {"activation_function": "x.Mystery", "bias": False})
    write_safetensors(folder / "2_Dense" / "model.safetensors", {})
    write_json(folder / "modules.json", [{"path": "", "type": "x.Transformer"}, {"path": "2_Dense", "type": "x.Dense"}])
    with pytest.raises(AssertionError, match="the activation Mystery is not known here"):
        async with serving(folder):
            pass


async def test_lower_case_models_get_lower_case_texts(folder: Path) -> None:
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 16, "do_lower_case": True})
    async with serving(folder) as served:
        assert await served.vectors("W1 W2") == await served.vectors("w1 w2")


async def test_the_context_can_be_widened_up_to_the_models_positions(folder: Path) -> None:
    async with serving(folder, max_input_tokens=30) as served:
        assert (await served.embed(" ".join(["w0"] * 28)))["usage"]["prompt_tokens"] == 30
    with pytest.raises(AssertionError, match="reads at most 42 tokens, not 43"):
        async with serving(folder, max_input_tokens=43):
            pass


async def test_2048_texts_are_taken_and_one_more_is_refused(served: ServedEncoder) -> None:
    answer = await served.embed(["w1"] * 2048)
    assert len(answer["data"]) == 2048
    reply = await served.post(EMBEDDINGS, input=["w1"] * 2049)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, "input", "invalid_value")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
async def test_a_bad_body_gets_its_error(row: dict[str, Any], served: ServedEncoder) -> None:
    body = bytes.fromhex(row["hex"]) if "hex" in row else row["raw"].encode() if "raw" in row else None
    sent = json.dumps(row["body"]).encode() if body is None else body
    reply = await asgi.request(served.app, "POST", EMBEDDINGS, body=sent, headers={"content-type": "application/json"})
    error = reply.error
    assert (reply.status, error["param"], error["code"]) == (row["status"], row["param"], row["code"])
    assert error["type"] == "invalid_request_error"
    assert len(await served.vectors("w1")) == 1, "the server goes on"


async def test_other_media_and_bodies_beyond_the_limit_have_statuses_of_their_own(served: ServedEncoder) -> None:
    form = await asgi.request(served.app, "POST", EMBEDDINGS, body=b"a=b", headers={"content-type": "text/plain"})
    large = await asgi.request(served.app, "POST", EMBEDDINGS, body=b'"' + b"x" * 20_000_000 + b'"')
    assert (form.status, large.status) == (415, 413)


async def test_the_server_tells_of_itself(served: ServedEncoder) -> None:
    await served.vectors(["w1", "w2"])
    root, health, models = [(await served.get(path)).json() for path in ("/", "/health", "/v1/models")]
    assert "POST /v1/embeddings" in root["endpoints"]
    assert (health["status"], health["model"], health["dimensions"]) == ("ok", "tiny-bert", HIDDEN)
    assert [item["id"] for item in models["data"]] == ["tiny-bert"]
    assert (await served.get("/v1/models/tiny-bert")).json()["context_length"] == CONTEXT
    assert (await served.get("/v1/models/other")).status == 404
    metrics = (await served.get("/metrics")).body.decode()
    assert re.search(r"^obeaver_texts_total\S* 2\.0$", metrics, re.MULTILINE)
    assert (await served.get("/api/system/memory")).json()["cpu"]["device"] == "cpu"
    assert "EmbeddingsRequest" in (await served.get("/openapi.json")).json()["components"]["schemas"]
    assert (await served.get("/docs")).status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/rerank", "/api/models/load", "/static/index.html"])
async def test_what_other_servers_answer_is_not_here(served: ServedEncoder, path: str) -> None:
    assert (await served.post(path, input="w1")).status == 404


async def test_a_server_that_stops_says_so(folder: Path) -> None:
    async with serving(folder) as served:
        await served.app.drain()
        reply = await served.post(EMBEDDINGS, input="w1")
        assert (reply.status, reply.error["code"]) == (503, "shutting_down")


async def test_a_chat_folder_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "genai_config.json", {})
    with pytest.raises(ModelError, match="is not an embedding model"):
        async with serving(tmp_path):
            pass


async def test_there_is_no_page(served: ServedEncoder) -> None:
    assert (await served.get("/static/index.html")).status == 404
    assert (await served.get("/")).status == 200
