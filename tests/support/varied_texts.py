"""Texts of many kinds and lengths for embedding models."""

import random

_WORDS = (
    "the river beavers build of water and a dam in winter for their young stone trees mud work night quickly stream "
    "forest because under 42 3.14 2024 lodge families never alone together before after while"
).split()
_KINDS = (
    "{}",
    "{}?",
    "Dear all, {}!",
    "def f(x):\n    return '{}'",
    "https://example.org/{}?q=1",
    "Größe, naïve café: {}",
    "日本語のテキスト {}",
    "🦫🪵 {} 🌊",
    "ПРИВЕТ {}",
    "   {}   ",
    "{} [SEP] {}",
    "$1,234.56 + 7% = {}",
)


def varied_texts(count: int, *, max_words: int = 18) -> list[str]:
    """The same ones every time."""
    rng = random.Random(11)
    texts = []
    for n in range(count):
        words = " ".join(rng.choices(_WORDS, k=rng.randint(1, max_words)))
        texts.append(_KINDS[n % len(_KINDS)].replace("{}", words))
    return texts
