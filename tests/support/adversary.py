"""An adversary in place of a model: whatever a grammar allows, it prefers what a careless grammar would let slip."""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt

from obeaver.engine.grammar.grammar import Matcher

_LURES: Final = (
    *('"', "\\", '\\"', "\\\\", '"\\', "\\n", "\\t", "\\b", "\\f", "\\r", "\\u", "\n", "\t", "\x7f", " ", "  "),
    *(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        ", ",
        ": ",
        "-",
        "0",
        "00",
        "9",
        "1",
        ".",
        "e",
        "E",
        "+",
        "-0",
        "1e",
        "true",
        "null",
    ),
    *("/", "<", ">", "é", "\u2028", "\xa0", "a", "b", "Z", "_", "~", "&", "'", "<|im_end|>", "$", "^", "@", "T", "%"),
)
_CLOSING: Final = (b'"', b"}", b"]", b'"}', b'"]', b"}}", b"]}")


class Adversary:
    """Preferences over a vocabulary, one for each seed.

    Args:
        texts: The bytes that each token writes; tokens beyond them write nothing.
        end_ids: Tokens that end an answer.
        vocab_size: Width of the masks.
    """

    def __init__(self, texts: Sequence[bytes], end_ids: Sequence[int], vocab_size: int) -> None:
        self._texts = [*texts, *[b""] * (vocab_size - len(texts))]
        self._end_ids = list(end_ids)
        self._holding = {lure: self._where(partial(_holds, lure.encode())) for lure in _LURES}
        self._short = self._where(lambda text: len(text) <= 2)
        self._closing = self._where(lambda text: text in _CLOSING)

    def answer(self, matcher: Matcher, seed: int, num_tokens: int) -> str | None:
        """What the grammar lets it write; None if that is not complete after `num_tokens`."""
        random = Random(seed)
        preference = np.random.default_rng(seed).random(len(self._texts), np.float32)
        for lure in random.sample(_LURES, 4):
            preference += random.choice((2, 4)) * self._holding[lure]
        preference += random.choice((0, 3)) * self._short
        preference[self._end_ids] = random.choice((-1, 9))
        written: list[int] = []
        for place in range(num_tokens):
            if place == num_tokens // 2:
                preference += 20 * self._closing
                preference[self._end_ids] = 99
            candidates = np.flatnonzero(matcher.allowed())
            token_id = int(candidates[preference[candidates].argmax()])
            # A token that has come is liked less each time: else one letter fills the answer.
            preference[token_id] -= random.random() * 2
            matcher.accept(token_id)
            if token_id in self._end_ids:
                return b"".join(self._texts[i] for i in written).decode()
            written.append(token_id)
        return None

    def _where(self, is_member: Callable[[bytes], bool]) -> npt.NDArray[np.float32]:
        return np.fromiter(map(is_member, self._texts), np.float32, len(self._texts))


def _holds(lure: bytes, text: bytes) -> bool:
    return lure in text
