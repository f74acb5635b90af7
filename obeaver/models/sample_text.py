"""Texts that come with obeaver, as token ids of a model: what an import calibrates with, and measures itself by.

Both are original: prose, dialogue, lists, code, markup and figures. They share nothing, so that what is fitted to one
is judged by the other.
"""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import tokenizers

_TEXTS: Final = resources.files("obeaver.models").joinpath("texts")
CALIBRATION: Final = _TEXTS.joinpath("calibration.txt")
EVALUATION: Final = _TEXTS.joinpath("evaluation.txt")


def sample_ids(tokenizer_json: Path, text: Traversable, *, limit: int) -> list[int]:
    """The first token ids of a UTF-8 text, `limit` at most; no special tokens."""
    tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json.read_text(encoding="utf-8"))
    ids: list[int] = tokenizer.encode(text.read_text(encoding="utf-8"), add_special_tokens=False).ids
    return ids[:limit]
