"""`obeaver run [MODEL] [PROMPT…]`: which of the words is a model, and which are the question. Pure."""

import re
from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from obeaver.errors import CommandError

# `qwen3-4b`, `phi-3.5`, `llama3.2:1b`: letters and a digit, as no question's first word has them.
_LIKE_A_MODEL: Final = re.compile(r"(?=.*[a-z])(?=.*[0-9])[a-z0-9][a-z0-9._:-]*", re.IGNORECASE)


class Asked(NamedTuple):
    """What the words mean.

    Attributes:
        model: Name or path; None for the default model.
        prompt: The question; "" if there is none.
    """

    model: str | None
    prompt: str


def split_words(words: Sequence[str], *, known: Collection[str], is_model_path: Callable[[str], bool]) -> Asked:
    """Tell the model from the question.

    The first word is the model where it is one, or can only be meant as one. A word that is meant as a model and is
    none must not be taken for a question: another model would answer it.

    Args:
        words: As given, without flags.
        known: Names of models in the store and the catalogue.
        is_model_path: Whether a model stands at this path.

    Raises:
        CommandError: The first word looks like a model and is none.
    """
    if not words:
        return Asked(None, "")
    first, rest = words[0], " ".join(words[1:])
    if first.lower() in known or is_model_path(first):
        return Asked(first, rest)
    if _meant_as_model(first, known):
        raise CommandError(_unknown(first, known))
    return Asked(None, " ".join(words))


def _meant_as_model(word: str, known: Collection[str]) -> bool:
    is_path = word.startswith(("/", "./", "../", "~")) or word.lower().endswith((".gguf", ".onnx"))
    return not re.search(r"\s", word) and (
        is_path or _LIKE_A_MODEL.fullmatch(word) is not None or bool(_close(word, known))
    )


def _close(word: str, known: Collection[str]) -> list[str]:
    return get_close_matches(word.lower(), known, n=1, cutoff=0.8)


def _unknown(word: str, known: Collection[str]) -> str:
    close = _close(word, known)
    hint = f"did you mean {close[0]}?" if close else "obeaver models lists them; or give a path;"
    return f"there is no model {word!r}: {hint} a question goes in quotes, or after a model's name"
