"""The default embedding model, as users have it: against an independent reference, and with the official client."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openai
import pytest
import tokenizers
from reference.encoder import hidden_states, mean_vector, read_safetensors
from support.embed_app import ServedEncoder, serving
from support.server_process import ServerProcess, serve
from support.varied_texts import varied_texts

from obeaver.models.progress import SilentProgress
from obeaver.models.pull import ensure_model
from obeaver.models.store import Store

pytestmark = pytest.mark.real

Vectors = npt.NDArray[np.float64]
PAIRS = json.loads((Path(__file__).parent.parent / "data/embeddings/similarity.json").read_text("utf-8"))
TEXTS = varied_texts(200)


@pytest.fixture(scope="module")
def int8_model(default_store: Store, default_embedding_model: Path) -> Path:
    name = default_embedding_model.name
    return ensure_model(name, default_store, progress=SilentProgress(), weights="int8").folder


@pytest.fixture(scope="module")
def source(default_store: Store, default_embedding_model: Path) -> Path:
    """The folder that the default model was imported from."""
    stored = default_store.find(default_embedding_model.name)
    assert stored is not None
    assert stored.recipe is not None
    path = default_store.sources.find(stored.recipe.source_sha256)
    assert path is not None
    return path


@pytest.fixture(scope="module")
def expected(source: Path) -> Vectors:
    """What the reference computes from the safetensors, over the ids that the tokenizer's own library gives."""
    weights = read_safetensors(source / "model.safetensors")
    config = json.loads((source / "config.json").read_text())
    tokenizer = tokenizers.Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    return np.stack([mean_vector(hidden_states(weights, config, item, [0] * len(item))) for item in ids])


@pytest.fixture
async def served(default_embedding_model: Path) -> AsyncIterator[ServedEncoder]:
    async with serving(default_embedding_model) as running:
        yield running


async def vectors_of(served: ServedEncoder, texts: list[str]) -> Vectors:
    return np.array(await served.vectors(texts))


async def test_200_varied_texts_have_the_references_vectors_alone_together_and_in_a_crowd(
    served: ServedEncoder, expected: Vectors
) -> None:
    together = await vectors_of(served, TEXTS)
    np.testing.assert_allclose(together, expected, atol=2e-5)
    assert (together * expected).sum(axis=1).min() >= 0.9999
    alone = np.concatenate([await vectors_of(served, [text]) for text in TEXTS[:64]])
    np.testing.assert_allclose(alone, together[:64], atol=1e-5)
    crowd = await asyncio.gather(*(vectors_of(served, TEXTS[n : n + 8]) for n in range(0, 64, 8)))
    np.testing.assert_allclose(np.concatenate(crowd), together[:64], atol=1e-5)


async def test_int8_vectors_are_near_and_independent_of_the_batch(int8_model: Path, expected: Vectors) -> None:
    async with serving(int8_model) as served:
        together = await vectors_of(served, TEXTS)
        alone = np.concatenate([await vectors_of(served, [text]) for text in TEXTS[:64]])
    assert (together * expected).sum(axis=1).min() >= 0.99
    np.testing.assert_allclose(alone, together[:64], atol=1e-5)


def ranks(values: npt.ArrayLike) -> Vectors:
    """Ranks from 1, the mean rank for equal values."""
    array = np.asarray(values, np.float64)
    return np.array([(array < value).sum() + ((array == value).sum() + 1) / 2 for value in array])


def spearman(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


async def agreement(folder: Path) -> float:
    """Spearman's correlation of the model's cosines with what people say."""
    async with serving(folder) as served:
        left, right = [await vectors_of(served, [pair[side] for pair in PAIRS]) for side in (0, 1)]
    return spearman((left * right).sum(axis=1), [pair[2] for pair in PAIRS])


async def test_cosines_agree_with_people_and_int8_agrees_as_well(
    default_embedding_model: Path, int8_model: Path
) -> None:
    exact, small = await agreement(default_embedding_model), await agreement(int8_model)
    assert exact > 0.85
    assert abs(exact - small) <= 0.01


@pytest.fixture(scope="module")
def server(default_embedding_model: Path) -> Iterator[ServerProcess]:
    assert default_embedding_model.is_dir()
    with serve("--offline", command="serve-embed") as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=60) as client:
        yield client


def embed(client: openai.OpenAI, given: Any, **parameters: Any) -> Any:
    return client.embeddings.create(model="any", input=given, **parameters)


def test_the_clients_own_default_gives_the_same_vector_as_floats(client: openai.OpenAI) -> None:
    default = embed(client, "Beavers build dams.")
    floats = embed(client, "Beavers build dams.", encoding_format="float")
    np.testing.assert_array_equal(np.float32(default.data[0].embedding), np.float32(floats.data[0].embedding))
    assert len(floats.data[0].embedding) == 384
    written = embed(client, "Beavers build dams.", encoding_format="base64")
    numbers = np.frombuffer(base64.b64decode(written.data[0].embedding), "<f4")
    np.testing.assert_array_equal(numbers, np.float32(floats.data[0].embedding))


def test_lists_token_arrays_dimensions_and_usage(client: openai.OpenAI, source: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    texts = ["Beavers build dams.", "It rains."]
    ids = [tokenizer.encode(text).ids for text in texts]
    by_text, by_ids = embed(client, texts), embed(client, ids)
    assert [item.index for item in by_text.data] == [0, 1]
    assert [item.embedding for item in by_text.data] == [item.embedding for item in by_ids.data]
    assert embed(client, ids[0]).data[0].embedding == by_text.data[0].embedding
    assert by_text.usage.prompt_tokens == by_ids.usage.total_tokens == sum(map(len, ids))
    short = np.array(embed(client, texts[0], dimensions=64).data[0].embedding)
    whole = np.array(by_text.data[0].embedding)[:64]
    np.testing.assert_allclose(short, whole / np.linalg.norm(whole), atol=1e-6)
    assert client.models.list().data[0].id == by_text.model == "all-minilm-l6-v2"


def test_what_the_client_calls_errors_are_raised_as_its_own_kinds(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        embed(client, "")
    assert refused.value.param == "input"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Hi"}])
