"""A model against its float32 original over the original's answers to questions."""

from pathlib import Path

import numpy as np
import pytest
from reference.tiny_gguf import TinyGguf

from benchmarks.chat_fidelity import QUESTIONS, Answer, answers, compare_answers
from obeaver.models.fidelity import folder_logits
from obeaver.models.gguf import import_gguf
from obeaver.models.progress import SilentProgress

PROMPTS = [[5, 17, 201, 33], [88, 3]]
NO_END = 10_000


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph of a float32 import."""
    folder = tmp_path_factory.mktemp("exact")
    source = TinyGguf(context=64).write(folder / "source.gguf")
    import_gguf(source, folder, weights="fp32", kv="float32", name="tiny", progress=SilentProgress())
    return folder / "model.onnx"


def test_answers_are_greedy_and_their_logits_those_of_the_text(exact: Path) -> None:
    for answer, prompt in zip(answers(exact, PROMPTS, [NO_END], 6), PROMPTS, strict=True):
        assert answer.prompt_ids == prompt
        assert len(answer.token_ids) == 6
        assert [int(row.argmax()) for row in answer.logits] == answer.token_ids
        whole = np.concatenate(list(folder_logits(exact, [*prompt, *answer.token_ids])))
        np.testing.assert_allclose(answer.logits, whole[len(prompt) - 1 : -1], atol=1e-4)


def test_an_answer_ends_before_the_token_that_ends_texts(exact: Path) -> None:
    (whole,) = answers(exact, PROMPTS[:1], [NO_END], 6)
    end = next(token for token in whole.token_ids if token != whole.token_ids[0])
    (cut,) = answers(exact, PROMPTS[:1], [end], 6)
    assert list(cut.token_ids) == list(whole.token_ids[: list(whole.token_ids).index(end)])
    assert answers(exact, PROMPTS[:1], [whole.token_ids[0]], 6) == [], "an empty answer is none"


def test_a_model_agrees_with_its_own_answers_and_not_with_others(exact: Path) -> None:
    expected = answers(exact, PROMPTS, [NO_END], 6)
    own = compare_answers(exact, expected)
    assert own.chat_tokens == 12
    assert own.chat_kl == pytest.approx(0, abs=1e-5)
    assert (own.chat_same_top1, own.chat_same_first) == (1, 1)
    first, second = expected
    others = [Answer(first.prompt_ids, first.token_ids, -first.logits), second]
    mixed = compare_answers(exact, others)
    assert mixed.chat_kl > 0.001
    assert mixed.chat_same_top1 == pytest.approx(0.5)


def test_there_are_thirty_questions_each_once() -> None:
    questions = QUESTIONS.read_text(encoding="utf-8").splitlines()
    assert len(set(questions)) == len(questions) == 30
    assert questions[0] == "What is the capital of France?"
