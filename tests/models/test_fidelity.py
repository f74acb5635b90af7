from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from reference.shared_buffers import Rows, open_session
from reference.tiny_gguf import TinyGguf

from obeaver.models.fidelity import CHUNK, compare, folder_logits
from obeaver.models.gguf import import_gguf
from obeaver.models.gguf.streamed import original_logits
from obeaver.models.progress import SilentProgress
from obeaver.models.sample_text import CALIBRATION, EVALUATION, sample_ids

NUM_TOKENS = CHUNK + 50


def chunks(logits: npt.NDArray[np.float32], size: int) -> list[npt.NDArray[np.float32]]:
    return [logits[start : start + size] for start in range(0, len(logits), size)]


@pytest.fixture
def logits() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 3, (40, 30)).astype(np.float32)


@pytest.fixture
def text() -> list[int]:
    return [int(n) for n in np.random.default_rng(1).integers(0, 30, 40)]


def test_a_model_is_its_own_equal(logits: npt.NDArray[np.float32], text: list[int]) -> None:
    same = compare([logits], [logits + 5], text)  # a constant changes no distribution
    assert same.mean_kl == pytest.approx(0, abs=1e-6)
    assert same.same_top1 == 1
    assert same.perplexity == pytest.approx(same.reference_perplexity)
    assert same.num_tokens == 40


def test_figures_are_those_of_their_definitions(logits: npt.NDArray[np.float32], text: list[int]) -> None:
    other = logits + np.random.default_rng(2).normal(0, 1, logits.shape).astype(np.float32)
    found = compare([logits], [other], text)
    p, q = (np.exp(x.astype(np.float64)) / np.exp(x.astype(np.float64)).sum(-1, keepdims=True) for x in (logits, other))
    assert found.mean_kl == pytest.approx((p * np.log(p / q)).sum(-1).mean(), rel=1e-4)
    assert found.perplexity == pytest.approx(np.exp(-np.log(q[np.arange(39), text[1:]]).mean()), rel=1e-4)
    assert found.reference_perplexity == pytest.approx(np.exp(-np.log(p[np.arange(39), text[1:]]).mean()), rel=1e-4)
    assert found.same_top1 == (p.argmax(-1) == q.argmax(-1)).mean()


@pytest.mark.parametrize("size", [1, 7, 39])
def test_the_size_of_chunks_does_not_matter(logits: npt.NDArray[np.float32], text: list[int], size: int) -> None:
    other = logits[::-1]
    whole = compare([logits], [other], text)
    cut = compare(chunks(logits, size), chunks(other, size), text)
    assert (cut.mean_kl, cut.perplexity) == pytest.approx((whole.mean_kl, whole.perplexity), rel=1e-5)


@pytest.mark.parametrize("kv", ["float32", "int8"])
def test_a_folders_logits_are_those_of_one_run(tmp_path: Path, kv: str) -> None:
    source = TinyGguf(context=256).write(tmp_path / "source.gguf")
    import_gguf(source, tmp_path, weights="int8", kv=kv, name="tiny", progress=SilentProgress())
    ids = [int(n) for n in np.random.default_rng(3).integers(0, 260, NUM_TOKENS)]
    pieces = list(folder_logits(tmp_path / "model.onnx", ids, threads=2))
    whole = Rows(open_session(tmp_path), 1, NUM_TOKENS).run([ids], [NUM_TOKENS])[0]
    assert [len(piece) for piece in pieces] == [CHUNK, 50]
    assert np.array_equal(np.concatenate(pieces), whole)


def test_a_float32_import_has_the_logits_of_its_source(tmp_path: Path) -> None:
    source = TinyGguf("qwen2", "Q5_1", context=256).write(tmp_path / "source.gguf")
    import_gguf(source, tmp_path, weights="fp32", kv="float32", name="tiny", progress=SilentProgress())
    ids = [int(n) for n in np.random.default_rng(4).integers(0, 260, NUM_TOKENS)]
    found = np.concatenate(list(folder_logits(tmp_path / "model.onnx", ids)))
    assert np.allclose(found, np.concatenate(list(original_logits(source, ids))), atol=1e-4)


def test_sample_texts_differ_and_are_cut_at_the_limit(tmp_path: Path) -> None:
    source = TinyGguf().write(tmp_path / "source.gguf")
    import_gguf(source, tmp_path, weights="fp32", kv="float32", name="tiny", progress=SilentProgress())
    calibration = sample_ids(tmp_path / "tokenizer.json", CALIBRATION, limit=100)
    evaluation = sample_ids(tmp_path / "tokenizer.json", EVALUATION, limit=2048)
    assert len(calibration) == 100
    assert len(evaluation) == 2048
    assert calibration != evaluation[:100]
