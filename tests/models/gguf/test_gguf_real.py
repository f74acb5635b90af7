"""The default model: what its import must hold, against the independent forward pass."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from reference.forward import Reference
from reference.shared_buffers import open_session, prefill

from benchmarks.chat_fidelity import QUESTIONS, answers, compare_answers, prompts
from obeaver.models.facts import read_facts
from obeaver.models.fidelity import CHUNK, Fidelity, compare, folder_logits
from obeaver.models.gguf import import_gguf
from obeaver.models.progress import SilentProgress
from obeaver.models.sample_text import EVALUATION, sample_ids

pytestmark = pytest.mark.real

FloatArray = npt.NDArray[np.float32]
NUM_TOKENS = 1024


@pytest.fixture(scope="module")
def text(default_model: Path) -> list[int]:
    return sample_ids(default_model / "tokenizer.json", EVALUATION, limit=NUM_TOKENS)


@pytest.fixture(scope="module")
def reference(default_gguf: Path, text: list[int]) -> list[FloatArray]:
    model = Reference(default_gguf)
    hidden = model.hidden(text)
    return [model.head(hidden[start : start + CHUNK]) for start in range(0, NUM_TOKENS, CHUNK)]


@pytest.fixture(scope="module")
def imported(default_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    folders = {}
    for weights, kv in (("fp32", "float32"), ("int8", "float32"), ("int8", "int8"), ("int4", "int8")):
        folder = folders[weights, kv] = tmp_path_factory.mktemp(f"{weights}-{kv}")
        measure = (weights, kv) == ("int8", "int8")
        silent = SilentProgress()
        import_gguf(default_gguf, folder, weights=weights, kv=kv, name="default", measure=measure, progress=silent)
    return folders


def measured(folder: Path, reference: list[FloatArray], text: list[int]) -> Fidelity:
    return compare(reference, folder_logits(folder / "model.onnx", text), text)


def test_float32_weights_give_the_references_logits(
    imported: dict[tuple[str, str], Path], reference: list[FloatArray], text: list[int]
) -> None:
    found = folder_logits(imported["fp32", "float32"] / "model.onnx", text)
    assert max(np.abs(a - b).max() for a, b in zip(found, reference, strict=True)) < 1e-3


@pytest.mark.parametrize(("kv", "most_kl", "most_perplexity"), [("float32", 0.004, 1.01), ("int8", 0.005, 1.01)])
def test_int8_keeps_near_the_reference(
    imported: dict[tuple[str, str], Path],
    reference: list[FloatArray],
    text: list[int],
    kv: str,
    most_kl: float,
    most_perplexity: float,
) -> None:
    found = measured(imported["int8", kv], reference, text)
    assert found.mean_kl < most_kl
    assert 1 / most_perplexity < found.perplexity / found.reference_perplexity < most_perplexity


@pytest.mark.parametrize(("weights", "most_kl"), [("int8", 0.006), ("int4", 0.008)])
def test_answers_to_questions_are_as_likely_as_to_float32(
    imported: dict[tuple[str, str], Path], weights: str, most_kl: float
) -> None:
    exact, folder = imported["fp32", "float32"], imported[weights, "int8"]
    facts = read_facts(exact)
    questions = prompts(facts, QUESTIONS.read_text(encoding="utf-8").splitlines())
    expected = answers(exact / "model.onnx", questions, facts.eos_ids)
    found = compare_answers(folder / "model.onnx", expected)
    assert found.chat_kl < most_kl
    assert found.chat_same_top1 > 0.95


def test_int8_names_the_capital_of_france_as_float32_does(imported: dict[tuple[str, str], Path]) -> None:
    exact, folder = imported["fp32", "float32"], imported["int8", "int8"]
    facts = read_facts(exact)
    question = prompts(facts, QUESTIONS.read_text(encoding="utf-8").splitlines()[:1])
    expected, found = (answers(of / "model.onnx", question, facts.eos_ids) for of in (exact, folder))
    assert found[0].token_ids == expected[0].token_ids


def test_int4_keeps_near_the_reference(
    imported: dict[tuple[str, str], Path], reference: list[FloatArray], text: list[int]
) -> None:
    found = measured(imported["int4", "int8"], reference, text)
    # Its source is in blocks of 4 bits with offsets, which are kept.
    assert found.mean_kl < 0.007
    assert found.perplexity / found.reference_perplexity < 1.02
    size = sum(file.stat().st_size for file in imported["int4", "int8"].iterdir())
    assert size < 0.75 * sum(file.stat().st_size for file in imported["int8", "int8"].iterdir())


def test_what_the_import_wrote_down_is_what_it_is(
    imported: dict[tuple[str, str], Path], reference: list[FloatArray], text: list[int]
) -> None:
    folder = imported["int8", "int8"]
    found = measured(folder, reference, text)
    recorded = read_facts(folder).fidelity
    assert recorded is not None
    assert recorded["mean_kl"] == pytest.approx(found.mean_kl, rel=0.05)
    assert recorded["perplexity"] == pytest.approx(found.perplexity, rel=0.005)


@pytest.mark.parametrize(("kv", "chunks"), [("int8", (1, 7, 64, 128)), ("float32", (7, 64, 128))])
def test_a_text_computed_in_chunks_is_the_text_computed_at_once(
    imported: dict[tuple[str, str], Path], text: list[int], kv: str, chunks: tuple[int, ...]
) -> None:
    length = 254  # no chunk of these leaves one token for the last
    session = open_session(imported["int8", kv])
    whole, row = prefill(session, text[:length], length, length)
    for chunk in chunks:
        logits, chunked = prefill(session, text[:length], chunk, length)
        assert np.array_equal(logits, whole), f"chunks of {chunk}"
        assert chunked.cache(0, length) == row.cache(0, length), f"chunks of {chunk}"
