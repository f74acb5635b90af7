"""How near a model is to its float32 original in conversation.

Prose alone is a poor judge: an answer begins with a choice that all the rest follows, and a small model decides
narrowly. So the original answers questions greedily, and another model is run over question and answer: at each token
of the answer its distribution is compared with the original's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from obeaver.errors import ModelError
from obeaver.models.facts import ModelFacts
from obeaver.models.fidelity import compare
from obeaver.processor import EXACT_BYTE_PRODUCTS, byte_products_overflow
from obeaver.text.chat_template import ChatTemplate
from obeaver.text.tokenizer import Tokenizer

QUESTIONS: Final = Path(__file__).with_name("chat_questions.txt")
"""One question a line; the first is about the capital of France."""
MOST_TOKENS: Final = 96
_ERRORS_ONLY: Final = 3

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the original says to a question.

    Attributes:
        prompt_ids: The question, as the chat template puts it.
        token_ids: The answer, without the token that ends it.
        logits: Those that each token was chosen by, [tokens, vocab_size].
    """

    prompt_ids: Sequence[int]
    token_ids: Sequence[int]
    logits: FloatArray


@dataclass(frozen=True, slots=True)
class ChatFidelity:
    """A model against its original, over the original's answers.

    Attributes:
        chat_tokens: Of all answers.
        chat_kl: Mean over these of KL(original || model), in nats.
        chat_same_top1: Share of these at which both have the same likeliest token.
        chat_same_first: Share of the answers that begin with the same token.
    """

    chat_tokens: int
    chat_kl: float
    chat_same_top1: float
    chat_same_first: float


def prompts(facts: ModelFacts, questions: Sequence[str]) -> list[list[int]]:
    """Token ids of conversations of one question each.

    Raises:
        ModelError: The model has no chat template.
    """
    if facts.chat_template is None:
        raise ModelError(f"{facts.name} has no chat template")
    tokenizer = Tokenizer.from_folder(facts.folder)
    template = ChatTemplate(
        facts.chat_template, special_tokens=facts.special_tokens, control_tokens=tokenizer.control_tokens
    )
    conversations = ([{"role": "user", "content": question}] for question in questions)
    return [tokenizer.encode_prompt(template.render(conversation)) for conversation in conversations]


def answers(
    graph: Path, conversations: Sequence[Sequence[int]], eos_ids: Sequence[int], most_tokens: int = MOST_TOKENS
) -> list[Answer]:
    """The greedy answers of a decoder graph."""
    session = _session(graph)
    found = []
    for prompt in conversations:
        token_ids: list[int] = []
        logits: list[FloatArray] = []
        for step in _greedy(session, prompt):
            token = int(step.argmax())
            if token in eos_ids or len(token_ids) == most_tokens:
                break
            token_ids.append(token)
            logits.append(step)
        if token_ids:
            found.append(Answer(prompt, token_ids, np.stack(logits)))
    return found


def compare_answers(graph: Path, expected: Sequence[Answer]) -> ChatFidelity:
    """A decoder graph against its original's answers, one at least."""
    session = _session(graph)
    num_tokens, divergence, same, first = 0, 0.0, 0.0, 0
    for answer in expected:
        start = len(answer.prompt_ids) - 1
        inputs = _inputs([*answer.prompt_ids, *answer.token_ids[:-1]], 0, start)
        logits = session.run(["logits"], inputs | _empty_cache(session))[0][0]
        found = compare([answer.logits], [logits], [answer.prompt_ids[-1], *answer.token_ids])
        num_tokens += found.num_tokens
        divergence += found.mean_kl * found.num_tokens
        same += found.same_top1 * found.num_tokens
        first += int(logits[0].argmax()) == answer.token_ids[0]
    return ChatFidelity(num_tokens, divergence / num_tokens, same / num_tokens, first / len(expected))


def _session(graph: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    if byte_products_overflow():
        options.add_session_config_entry(EXACT_BYTE_PRODUCTS, "1")
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _empty_cache(session: ort.InferenceSession) -> dict[str, npt.NDArray[Any]]:
    return {
        value.name: np.zeros((1, value.shape[1], 0, value.shape[3]), np.int8 if "int8" in value.type else np.float32)
        for value in session.get_inputs()
        if value.name.startswith("past_key_values.")
    }


def _greedy(session: ort.InferenceSession, prompt: Sequence[int]) -> Iterator[FloatArray]:
    """Logits [vocab_size] of each next token, without end."""
    cache = _empty_cache(session)
    names = ["logits", *(name.replace("past_key_values", "present") for name in cache)]
    ids, num_past = list(prompt), 0
    while True:
        logits, *present = session.run(names, _inputs(ids, num_past, -1) | cache)
        cache = dict(zip(cache, present, strict=True))
        yield logits[0, -1]
        num_past += len(ids)
        ids = [int(logits[0, -1].argmax())]


def _inputs(ids: Sequence[int], num_past: int, logits_from: int) -> dict[str, npt.NDArray[Any]]:
    return {
        "input_ids": np.array([ids], np.int64),
        "attention_mask": np.ones((1, num_past + len(ids)), np.int64),
        "logits_from": np.array([logits_from], np.int64),
    }
