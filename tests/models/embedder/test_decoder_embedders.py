"""A decoder that makes vectors, from GGUF, safetensors and ONNX, against the independent pass in numpy."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.decoder_embedder import (
    END_ID,
    HIDDEN,
    NAME,
    VOCAB,
    reference_vector,
    rename_tokens,
    write_checkpoint,
    write_export,
    write_gguf,
)
from support.embed_app import serving

from obeaver.errors import ModelError
from obeaver.models.embedder.kind import kind_of_gguf, pooling_of
from obeaver.models.encoder.layout import read_encoder_facts, require_importable
from obeaver.models.gguf.reader import GgufFile
from obeaver.models.importers import import_source
from obeaver.models.progress import SilentProgress
from obeaver.models.record import Recipe
from obeaver.text.tokenizer import Tokenizer

LONG = " ".join(f"number {n} the" for n in range(90))
TEXTS = ["the", "Beavers build dams.", "a" * 40, "<|im_end|> is text", LONG]
INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


def imported(source: Path, target: Path, weights: str = "fp32", name: str = "tiny") -> Path:
    target.mkdir()
    recipe = Recipe("", weights, "float32")
    import_source(source, target, recipe=recipe, measure=False, name=name, progress=SilentProgress())
    return target


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The file, and a folder that is served of each form."""
    place = tmp_path_factory.mktemp("embedder")
    gguf = write_gguf(place / f"{NAME}-Q8_0.gguf", tokenizer={})
    from_gguf = imported(gguf, place / "from-gguf")
    checkpoint = write_checkpoint(place / NAME, gguf, from_gguf)
    return {
        "file": gguf,
        "gguf": from_gguf,
        "safetensors": imported(checkpoint, place / "from-safetensors"),
        "onnx": write_export(place / "export" / NAME, gguf, from_gguf),
        "int8": imported(gguf, place / "int8", "int8"),
        "checkpoint": checkpoint,
    }


def with_end(folder: Path, texts: Sequence[str]) -> list[list[int]]:
    """As the model card's own code tokenises: the text, then the end token."""
    tokenizer = Tokenizer.from_folder(folder)
    return [[*tokenizer.encode(text), END_ID] for text in texts]


@pytest.mark.parametrize("form", ["gguf", "safetensors", "onnx"])
async def test_vectors_are_the_references_to_a_hundred_thousandth(made: Mapping[str, Path], form: str) -> None:
    ids = with_end(made["gguf"], TEXTS)
    assert max(map(len, ids)) > 1024
    async with serving(made[form]) as served:
        answer = await served.embed(TEXTS)
        alone = [(await served.vectors(text))[0] for text in TEXTS]
    wanted = [reference_vector(made["file"], text) for text in ids]
    vectors = [item["embedding"] for item in answer["data"]]
    np.testing.assert_allclose(vectors, wanted, atol=1e-5)
    np.testing.assert_allclose(alone, wanted, atol=1e-5)
    assert answer["usage"]["prompt_tokens"] == sum(map(len, ids))


@pytest.mark.parametrize("form", ["gguf", "safetensors", "onnx"])
async def test_a_query_has_the_instruction_of_the_model_card_and_a_document_has_none(
    made: Mapping[str, Path], form: str
) -> None:
    [asked] = with_end(made["gguf"], [INSTRUCTION + "What do beavers eat?"])
    async with serving(made[form]) as served:
        [query] = await served.vectors("What do beavers eat?", input_type="query")
        [named] = await served.vectors("What do beavers eat?", prompt_name="query")
        [document] = await served.vectors("Bark.", input_type="document")
        [plain] = await served.vectors("Bark.")
    np.testing.assert_allclose(query, reference_vector(made["file"], asked), atol=1e-5)
    assert (named, document) == (query, plain)


async def test_int8_is_near_and_a_text_does_not_depend_on_its_neighbours(made: Mapping[str, Path]) -> None:
    async with serving(made["int8"]) as served:
        together = np.array(await served.vectors(TEXTS[:4]))
        alone = np.array([(await served.vectors(text))[0] for text in TEXTS[:4]])
    wanted = np.array([reference_vector(made["file"], ids) for ids in with_end(made["int8"], TEXTS[:4])])
    np.testing.assert_array_equal(together, alone)
    assert ((together * wanted).sum(axis=1) > 0.995).all()


async def test_a_text_that_is_cut_keeps_its_end_token(made: Mapping[str, Path]) -> None:
    [ids] = with_end(made["gguf"], [LONG])
    async with serving(made["gguf"], max_input_tokens=20) as served:
        answer = await served.embed(LONG, truncate=True)
    assert answer["usage"] == {"prompt_tokens": 20, "total_tokens": 20, "truncated_tokens": len(ids) - 20}
    wanted = reference_vector(made["file"], [*ids[:19], END_ID])
    np.testing.assert_allclose(answer["data"][0]["embedding"], wanted, atol=1e-5)


def test_a_file_is_an_embedder_by_its_pooling_or_by_its_name(tmp_path: Path) -> None:
    assert kind_of_gguf(write_gguf(tmp_path / "pooled.gguf")) == "embedding"
    assert kind_of_gguf(write_gguf(tmp_path / "chat.gguf", metadata={}, tokenizer={})) == "chat"
    assert kind_of_gguf(write_gguf(tmp_path / "other.gguf", architecture="flux", metadata={})) is None
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    assert kind_of_gguf(tmp_path / "broken.gguf") is None
    named = write_gguf(tmp_path / "qwen3-embedding-0.6b-q8_0.gguf", metadata={}, tokenizer={})
    assert (kind_of_gguf(named), pooling_of(GgufFile(named))) == ("embedding", "lasttoken")


def test_a_model_that_is_known_ends_its_texts_where_its_file_does_not_say_how(tmp_path: Path) -> None:
    named = write_gguf(tmp_path / "Qwen3-Embedding-4B-Q8_0.gguf", metadata={}, tokenizer={})
    folder = imported(named, tmp_path / "target")
    [ids] = Tokenizer.from_folder(folder).encode_inputs(["the"])
    assert ids.ids[-1] == END_ID
    assert read_encoder_facts(folder).prompts["query"] == INSTRUCTION


def test_a_file_that_names_its_end_token_gets_that_one(tmp_path: Path) -> None:
    folder = imported(write_gguf(tmp_path / "mine.gguf"), tmp_path / "target")
    assert Tokenizer.from_folder(folder).encode_inputs(["the"])[0].ids[-1] == 2


def test_a_checkpoint_that_writes_text_is_for_convert(made: Mapping[str, Path], tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path / "my-model", made["file"], made["gguf"], prefix="model.")
    (plain / "modules.json").unlink()
    (plain / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"writes text: obeaver convert .*my-model"):
        require_importable(plain)


QUERY, DOCUMENTS = "Who builds dams?", ["Beavers do.", "It rains. <|im_end|> {query}", "the"]
PROMPT = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
)
ANSWER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def share_of_yes(file: Path, folder: Path, head: np.ndarray[Any, Any], document: str) -> float:
    """The model card's code: three parts tokenised one by one, the last token's logits of no and yes, their softmax."""
    from reference.forward import Reference

    tokenizer = Tokenizer.from_folder(folder)
    before, after = (tokenizer.encode(text, special=True) for text in (PROMPT.split("<Instruct>")[0], ANSWER))
    middle = PROMPT[PROMPT.index("<Instruct>") :] + f"<Query>: {QUERY}\n<Document>: {document}"
    no, yes = head @ Reference(file).hidden([*before, *tokenizer.encode(middle), *after])[-1]
    return float(1 / (1 + math.exp(no - yes)))


async def scores(folder: Path, documents: Sequence[str] = DOCUMENTS) -> list[float]:
    async with serving(folder) as served:
        answer = (await served.post("/v1/rerank", query=QUERY, documents=list(documents))).json()
    found = {item["index"]: item["relevance_score"] for item in answer["results"]}
    return [found[index] for index in range(len(documents))]


async def test_a_reranker_from_gguf_scores_by_its_own_rows_and_prompt(tmp_path: Path) -> None:
    head = np.random.default_rng(3).normal(0, 0.2, (2, HIDDEN)).astype(np.float32)
    template = PROMPT + "<Query>: {query}\n<Document>: {document}" + ANSWER
    file = write_gguf(
        tmp_path / "scores.gguf",
        metadata={"pooling_type": 4, "classifier.output_labels": ["yes", "no"]},
        vectors={"cls.output.weight": head},
        tokenizer={"chat_template.rerank": template},
    )
    folder = imported(file, tmp_path / "target")
    assert (kind_of_gguf(file), read_encoder_facts(folder).kind) == ("reranker", "reranker")
    wanted = [share_of_yes(file, folder, head[::-1], document) for document in DOCUMENTS]
    np.testing.assert_allclose(await scores(folder), wanted, atol=1e-5)


async def test_a_reranker_from_safetensors_scores_by_the_words_yes_and_no(
    made: Mapping[str, Path], tmp_path: Path
) -> None:
    source = write_checkpoint(tmp_path / "Qwen3-Reranker-0.6B", made["file"], made["gguf"], prefix="model.")
    (source / "modules.json").unlink()
    rename_tokens(source / "tokenizer.json", {"[PAD0]": "yes", "[PAD1]": "no"})
    folder = imported(source, tmp_path / "target", name="qwen3-reranker-0.6b")
    from reference.forward import Reference

    table = Reference(made["file"]).weights["token_embd.weight"]
    yes = Tokenizer.from_folder(folder).id_of("yes")
    assert yes is not None
    assert yes + 1 < VOCAB
    wanted = [share_of_yes(made["file"], folder, table[[yes + 1, yes]], document) for document in DOCUMENTS]
    np.testing.assert_allclose(await scores(folder), wanted, atol=1e-5)


async def test_a_document_that_is_too_long_for_a_prompt_is_cut_at_its_own_end(tmp_path: Path) -> None:
    head = np.random.default_rng(3).normal(0, 0.2, (2, HIDDEN)).astype(np.float32)
    file = write_gguf(
        tmp_path / "Qwen3-Reranker-0.6B.gguf", metadata={"pooling_type": 4}, vectors={"cls.output.weight": head}
    )
    folder = imported(file, tmp_path / "target")
    room = Tokenizer.from_folder(folder).encode(PROMPT + ANSWER, special=True)
    async with serving(folder, max_input_tokens=len(room) + 60) as served:
        body = {"query": QUERY, "documents": ["the " * 100]}
        refused = await served.post("/v1/rerank", **body)
        answer = (await served.post("/v1/rerank", **body, truncate=True)).json()
    assert (refused.status, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert answer["usage"]["prompt_tokens"] == len(room) + 60
    assert answer["usage"]["truncated_tokens"] > 0
