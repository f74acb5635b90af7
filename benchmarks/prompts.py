"""Prompts of a wanted length that no cache has seen."""

import random
from collections.abc import Sequence

_WORDS = (
    "river stone window morning paper garden silver engine quiet market bridge winter signal copper harbour letter "
    "forest number kitchen travel shadow music planet summer doctor history island corner teacher weather mountain"
).split()


def fresh_messages(num_words: int, seed: int) -> list[dict[str, str]]:
    """A user message of so many common words (close to one token each), different from its first word for each seed."""
    source = random.Random(seed)
    words = [source.choice(_WORDS) for _ in range(num_words)]
    return [
        {"role": "system", "content": f"Case {seed}."},
        {"role": "user", "content": f"Continue this list, in the same manner, for a long time: {' '.join(words)}"},
    ]


def next_turn(messages: Sequence[dict[str, str]], answer: str, question: str) -> list[dict[str, str]]:
    """The conversation, carried on by one question."""
    return [*messages, {"role": "assistant", "content": answer}, {"role": "user", "content": question}]
