"""How grammars see a tokenizer: how its tokens are spelled, which of them are no text, and how it cuts a text."""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

logger = logging.getLogger(__name__)


class GrammarVocabulary(NamedTuple):
    """A tokenizer, as grammars see it.

    Attributes:
        tokens: The bytes of each id; empty where there is no such token.
        marker_ids: Ids that no text matches: a grammar has to name them.
        encode: The ids of a text, as the tokenizer cuts it. May raise where it cannot.
    """

    tokens: Sequence[bytes]
    marker_ids: Collection[int]
    encode: Callable[[str], Sequence[int]]


class LibraryTokenizer:
    """A vocabulary in the words of llguidance's `TokenizerWrapper`.

    Args:
        vocabulary: The tokenizer.
        vocab_size: Ids from the vocabulary's end up to here have no text.
        end_id: An end id.
    """

    bos_token_id = None

    def __init__(self, vocabulary: GrammarVocabulary, vocab_size: int, end_id: int) -> None:
        self.tokens = [*vocabulary.tokens, *[b""] * (vocab_size - len(vocabulary.tokens))]
        self.special_token_ids = list(vocabulary.marker_ids)
        self.eos_token_id = end_id
        self._encode = vocabulary.encode

    def __call__(self, text: str) -> list[int]:
        """The ids of a text; none for one that the tokenizer refuses.

        The library asks in order to guess what comes next, and takes an exception for the end of the process.

        Raises:
            TypeError: It is no text: the library asks once whether bytes are taken.
        """
        if not isinstance(text, str):
            raise TypeError("not a text")
        try:
            return list(self._encode(text))
        except Exception:
            logger.exception("a text that a grammar forces could not be tokenised")
            return []
