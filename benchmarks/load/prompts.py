"""Prompts that no cache has seen: of a wanted length, or of the lengths that people send."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

Messages = list[dict[str, str]]

_WORDS = (
    "river stone window morning paper garden silver engine quiet market bridge winter signal copper harbour letter "
    "forest number kitchen travel shadow music planet summer doctor history island corner teacher weather mountain"
).split()
_TEXT = resources.files("obeaver.models").joinpath("texts", "evaluation.txt")
_serial = itertools.count(random.SystemRandom().randrange(10**6, 10**9))


def fresh_messages(num_words: int, seed: int | None = None) -> Messages:
    """A user message of so many common words (close to one token each), different from its first word on each time.

    Args:
        num_words: Of the list that the message carries.
        seed: Makes the message the same each time.
    """
    number = next(_serial) if seed is None else seed
    source = random.Random(number)
    words = [source.choice(_WORDS) for _ in range(num_words)]
    return [
        {"role": "system", "content": f"Case {number}."},
        {"role": "user", "content": f"Continue this list, in the same manner, for a long time: {' '.join(words)}"},
    ]


def next_turn(messages: Sequence[dict[str, str]], answer: str, question: str) -> Messages:
    """The conversation, carried on by one question."""
    return [*messages, {"role": "assistant", "content": answer}, {"role": "user", "content": question}]


@dataclass(frozen=True, slots=True)
class Lengths:
    """A log-normal distribution of lengths, cut at both ends: many short ones, few long ones.

    Attributes:
        median: Half are shorter.
        sigma: Of the logarithm; at 1, one in six is longer than 2.7 medians.
        shortest: Cut.
        longest: Cut.
    """

    median: int
    sigma: float
    shortest: int
    longest: int

    def draw(self, source: random.Random) -> int:
        """One length."""
        return min(self.longest, max(self.shortest, round(self.median * source.lognormvariate(0.0, self.sigma))))


PROMPT_WORDS = Lengths(median=70, sigma=1.0, shortest=8, longest=900)
ANSWER_TOKENS = Lengths(median=48, sigma=0.7, shortest=8, longest=192)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What one person asks, and how long the answer is."""

    messages: Messages
    max_tokens: int


def mixed_requests(count: int, seed: int) -> list[ChatRequest]:
    """Requests as a server sees them in a day: prose of many lengths, answers of many lengths.

    The lengths are the same for the same seed; the texts never are.
    """
    source = random.Random(seed)
    words = _TEXT.read_text(encoding="utf-8").split()
    requests = []
    for _ in range(count):
        length, start = PROMPT_WORDS.draw(source), source.randrange(len(words))
        passage = " ".join(itertools.islice(itertools.cycle(words), start, start + length))
        content = f"Note {next(_serial)}. What does this passage say? {passage}"
        requests.append(ChatRequest([{"role": "user", "content": content}], ANSWER_TOKENS.draw(source)))
    return requests
