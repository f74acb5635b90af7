"""SentencePiece BPE vocabularies (`tokenizer.ggml.model` = `llama`), as the parts of a tokenizer.json.

SentencePiece joins the two neighbours that make the token of the highest score. A tokenizer.json wants the same as a
ranked list of pairs, so every way to make a token from two others becomes a pair, ranked by the score of what it makes.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

SPACE_MARK: Final = "\u2581"
"""What stands for a space in SentencePiece's tokens."""


def ranked_merges(scores: Mapping[str, float], runs: Set[str], ids: Mapping[str, int]) -> list[list[str]]:
    """Pairs to join, the first one first.

    Equal scores are ordered as Hugging Face's converters order them: by id, and runs before all else, longer halves
    first.

    Args:
        scores: Ordinary tokens with their scores, in the order of their ids.
        runs: Runs of spaces that the vocabulary has as tokens of their own.
        ids: Token to id.
    """
    known = scores.keys() | runs
    first = [pair for run in runs for pair in _splits(run, known, ids)]
    first.sort(key=lambda pair: (len(pair[0]), len(pair[1])), reverse=True)
    by_score = sorted(scores, key=scores.__getitem__, reverse=True)
    return [list(pair) for pair in (*first, *(pair for token in by_score for pair in _splits(token, known, ids)))]


def _splits(token: str, known: Set[str], ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """All ways to make this token from two others."""
    splits = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
    pairs = [(left, right) for left, right in splits if left in known and right in known]
    return sorted(pairs, key=lambda pair: (ids[pair[0]], ids[pair[1]]))


def sentencepiece_parts(
    ids: Mapping[str, int],
    scores: Mapping[str, float],
    runs: Set[str],
    *,
    unk_token: str | None,
    space_prefix: bool,
) -> dict[str, Any]:
    """Normalizer, pre-tokenizer, post-processor, decoder and model of a tokenizer.json.

    Args:
        ids: Token to id.
        scores: Ordinary tokens with their scores, in the order of their ids.
        runs: Runs of spaces that the vocabulary has as tokens of their own.
        unk_token: Stands for what has neither token nor bytes.
        space_prefix: Text gets a space before it, which decoding takes away.
    """
    mark_spaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE_MARK}
    unmark_spaces = {"type": "Replace", "pattern": {"String": SPACE_MARK}, "content": " "}
    prepend: list[Any] = [{"type": "Prepend", "prepend": SPACE_MARK}] if space_prefix else []
    strip: list[Any] = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if space_prefix else []
    return {
        "normalizer": _sequence("normalizers", [*prepend, mark_spaces]),
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": _sequence("decoders", [unmark_spaces, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unk_token,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": dict(ids),
            "merges": ranked_merges(scores, runs, ids),
        },
    }


def _sequence(name: str, steps: Iterable[Any]) -> dict[str, Any]:
    return {"type": "Sequence", name: list(steps)}
