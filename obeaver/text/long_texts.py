"""Texts for encoders that are far too long: refused, or brought down to a beginning, before memory is spent on them.

A tokenizer takes some hundred bytes for each character while it works. So what has far more text than a model reads is
looked at in pieces first: a text that must fit is refused as soon as its pieces have too many tokens; of one that may
be cut, only a beginning is tokenised as a whole, and of the rest the tokens are counted.
"""

from typing import Final, NamedTuple

from obeaver.errors import ObeaverError
from obeaver.text.prompt_size import HONEST_CHARS_PER_TOKEN
from obeaver.text.tokenizer import ModelInput, Tokenizer

MOST_CHARS: Final = 524_288
"""Of a text that is tokenised as a whole: some 50 MB. The longest contexts of encoders have half as much prose."""


class TooManyChars(ObeaverError):
    """A text has few tokens, and yet more characters than can be looked at."""

    def __init__(self) -> None:
        super().__init__(f"the text has more than {MOST_CHARS} characters")


class Beginning(NamedTuple):
    """What of a text is tokenised.

    Attributes:
        text: The text, or its beginning.
        num_behind: Tokens of the rest, up to a few at the edges of its pieces.
    """

    text: str
    num_behind: int = 0

    def counting_rest(self, item: ModelInput) -> ModelInput:
        """What the tokenizer made of the beginning, with the tokens of the rest told as cut off.

        Raises:
            TooManyChars: The beginning has less than the model reads, and more stands behind it.
        """
        if not self.num_behind:
            return item
        if item.num_cut <= 0:
            raise TooManyChars
        return item._replace(num_cut=item.num_cut + self.num_behind)


def beginning(tokenizer: Tokenizer, text: str, limit: int, *, cut: bool) -> Beginning:
    """The part of a text that has all the tokens that a model reads.

    Args:
        tokenizer: The model's.
        text: Any.
        limit: Tokens that the model reads.
        cut: The text may lose what it has beyond.

    Raises:
        TooManyTokens: It may not, and it has more, for certain.
        TooManyChars: Its tokens would fit, and it has more than `MOST_CHARS`.
    """
    if len(text) <= HONEST_CHARS_PER_TOKEN * limit:
        return Beginning(text)
    if not cut:
        tokenizer.refuse_excess([text], limit)
    if len(text) <= MOST_CHARS:
        return Beginning(text)
    if not cut:
        raise TooManyChars
    return Beginning(text[:MOST_CHARS], tokenizer.count(text[MOST_CHARS:]))
