"""Encoders from GGUF files against the independent pass in numpy, and their tokenizers against known pieces."""

from pathlib import Path

import numpy as np
import pytest
from reference.gguf_encoder import GgufEncoder
from support.embed_app import serving
from support.encoder_gguf import CONTROL, HIDDEN, PIECES, SENTENCE_CONTROL, SENTENCE_PIECES, EncoderGguf

from obeaver.errors import ModelError
from obeaver.models.embedder.importer import import_embedder
from obeaver.models.encoder.layout import read_encoder_facts
from obeaver.models.progress import SilentProgress
from obeaver.text.tokenizer import Tokenizer

TEXTS = ["beavers build dams.", "a", "zebra beaver, dam " * 5, "beaver"]


def imported(source: Path, target: Path, weights: str = "fp32") -> Path:
    target.mkdir()
    import_embedder(source, target, weights=weights, name="tiny", progress=SilentProgress())
    return target


@pytest.mark.parametrize(
    ("made", "place"),
    [
        (EncoderGguf("bert"), "mean"),
        (EncoderGguf("bert", pooling=2), "first"),
        (EncoderGguf("bert", tokenizer="t5", pooling=2), "first"),
        (EncoderGguf("nomic-bert"), "mean"),
        (EncoderGguf("modern-bert", pooling=2), "first"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.architecture}-{value.tokenizer}",
)
async def test_vectors_are_the_references(tmp_path: Path, made: EncoderGguf, place: str) -> None:
    file = made.write(tmp_path / "source.gguf")
    folder = imported(file, tmp_path / "target")
    tokenizer, reference = Tokenizer.from_folder(folder), GgufEncoder(file)
    wanted = []
    for text in tokenizer.encode_inputs(TEXTS):
        hidden = reference.hidden(text.ids)
        vector = hidden[0] if place == "first" else hidden.mean(axis=0)
        wanted.append(vector / np.linalg.norm(vector))
    async with serving(folder) as served:
        together = await served.vectors(TEXTS)
        alone = [(await served.vectors(text))[0] for text in TEXTS]
    np.testing.assert_allclose(together, wanted, atol=1e-5)
    np.testing.assert_allclose(alone, wanted, atol=1e-5)


async def test_a_reranker_has_its_own_head_behind_the_first_token_and_tells_its_texts_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    heads = {
        "cls.weight": rng.normal(0, 0.3, (HIDDEN, HIDDEN)).astype(np.float32),
        "cls.bias": rng.normal(0, 0.3, HIDDEN).astype(np.float32),
        "cls.output.weight": rng.normal(0, 0.3, (1, HIDDEN)).astype(np.float32),
        "cls.output.bias": rng.normal(0, 0.3, 1).astype(np.float32),
    }
    file = EncoderGguf("bert", pooling=4, heads=heads).write(tmp_path / "scores.gguf")
    folder = imported(file, tmp_path / "target")
    assert read_encoder_facts(folder).kind == "reranker"
    documents = ["beavers build", "a dam", "zebra"]
    async with serving(folder) as served:
        answer = (await served.post("/v1/rerank", query="beaver", documents=documents)).json()
    found = {item["index"]: item["relevance_score"] for item in answer["results"]}
    for index, text in enumerate(
        Tokenizer.from_folder(folder).encode_inputs([("beaver", document) for document in documents])
    ):
        assert set(text.type_ids) == {0, 1}
        first = GgufEncoder(file).hidden(text.ids, text.type_ids)[0]
        score = np.tanh(heads["cls.weight"] @ first + heads["cls.bias"]) @ heads["cls.output.weight"][0]
        wanted = 1 / (1 + np.exp(-(score + heads["cls.output.bias"][0])))
        assert found[index] == pytest.approx(wanted, abs=1e-5)


def pieces(folder: Path, text: str, words: list[str]) -> list[str]:
    [found] = Tokenizer.from_folder(folder).encode_inputs([text])
    return [words[index] for index in found.ids]


def test_word_pieces_are_those_of_bert(tmp_path: Path) -> None:
    folder = imported(EncoderGguf().write(tmp_path / "source.gguf"), tmp_path / "target")
    words = [*CONTROL, *PIECES]
    assert pieces(folder, "Beavers build.", words) == ["[CLS]", "beaver", "##s", "build", ".", "[SEP]"]
    assert pieces(folder, "ÜBER dams", words) == ["[CLS]", "uber", "dam", "##s", "[SEP]"]
    assert pieces(folder, "[SEP]", words)[1:-1] != ["[SEP]"]


def test_sentence_pieces_are_those_of_the_highest_score_and_spaces_are_one(tmp_path: Path) -> None:
    folder = imported(EncoderGguf(tokenizer="t5").write(tmp_path / "source.gguf"), tmp_path / "target")
    words = [*SENTENCE_CONTROL, *SENTENCE_PIECES]
    assert pieces(folder, "  beavers   build ", words) == ["<s>", "▁beaver", "s", "▁build", "</s>"]
    assert pieces(folder, "dam", words) == ["<s>", "▁dam", "</s>"]


async def test_int8_is_near_and_no_text_depends_on_its_neighbours(tmp_path: Path) -> None:
    file = EncoderGguf("modern-bert").write(tmp_path / "source.gguf")
    exact, rounded = imported(file, tmp_path / "exact"), imported(file, tmp_path / "int8", "int8")
    async with serving(exact) as served:
        wanted = np.array(await served.vectors(TEXTS))
    async with serving(rounded) as served:
        together = np.array(await served.vectors(TEXTS))
        alone = np.array([(await served.vectors(text))[0] for text in TEXTS])
    np.testing.assert_array_equal(together, alone)
    assert ((together * wanted).sum(axis=1) > 0.99).all()


def test_formats_that_are_none_and_files_without_what_they_need_are_named(tmp_path: Path) -> None:
    file = EncoderGguf().write(tmp_path / "source.gguf")
    with pytest.raises(ModelError, match="can be fp32, int8, not 'int4'"):
        imported(file, tmp_path / "int4", "int4")
