"""Byte-level BPE vocabularies (`tokenizer.ggml.model` = `gpt2`), as the parts of a tokenizer.json.

Such vocabularies differ in how text is cut before merging; `tokenizer.ggml.pre` names the way. The patterns are those
of the models' own tokenizers, which llama.cpp's `llama-vocab.cpp` has as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from obeaver.errors import ModelError

# Contractions; letters with at most one sign before them; digits; signs with line ends; line ends; white space that
# leaves its last character to the word that follows.
_WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """What a name in `tokenizer.ggml.pre` stands for.

    Attributes:
        steps: Cut the text, before the byte-level step.
        own_pattern: The byte-level step cuts as well, with GPT-2's pattern.
        normalizer: Applied to the text first, None for none.
        ignore_merges: A piece that is a token as a whole is not merged from its parts.
        add_bos: BOS goes first where the file does not say.
    """

    steps: tuple[Mapping[str, Any], ...] = ()
    own_pattern: bool = False
    normalizer: Mapping[str, Any] | None = None
    ignore_merges: bool = False
    add_bos: bool = False


def _split(digits: str) -> Mapping[str, Any]:
    pattern = {"Regex": _WORDS.replace("DIGITS", digits)}
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


_SINGLE_DIGITS: Final[Mapping[str, Any]] = {"type": "Digits", "individual_digits": True}
_LLAMA3: Final = PreTokenizer(steps=(_split(r"\p{N}{1,3}"),), ignore_merges=True, add_bos=True)

PRE_TOKENIZERS: Final[Mapping[str, PreTokenizer]] = MappingProxyType(
    {
        "gpt-2": PreTokenizer(own_pattern=True),
        "smollm": PreTokenizer(steps=(_SINGLE_DIGITS,), own_pattern=True),
        "qwen2": PreTokenizer(steps=(_split(r"\p{N}"),), normalizer={"type": "NFC"}),
        "llama-bpe": _LLAMA3,
        "llama3": _LLAMA3,
        "llama-v3": _LLAMA3,
    }
)
"""By name; the last two are older names of `llama-bpe`."""


def pre_tokenizer(name: object) -> PreTokenizer:
    """Look a name up.

    Raises:
        ModelError: There is no such pre-tokenizer here; names it.
    """
    found = PRE_TOKENIZERS.get(name) if isinstance(name, str) else None
    if found is None:
        known = ", ".join(PRE_TOKENIZERS)
        raise ModelError(f"the pre-tokenizer {name!r} (tokenizer.ggml.pre) is not supported; known are {known}")
    return found


def byte_level_parts(
    pre: PreTokenizer, ids: Mapping[str, int], merges: Sequence[str], *, space_prefix: bool
) -> dict[str, Any]:
    """Normalizer, pre-tokenizer, post-processor, decoder and model of a tokenizer.json.

    Args:
        pre: How to cut.
        ids: Token to id; a token's characters stand for bytes, as in GPT-2's vocabulary.
        merges: `left right`, the first to be merged first.
        space_prefix: Text gets a space before it.

    Raises:
        ModelError: A merge is not a pair of tokens.
    """
    cut = _byte_level(space_prefix=space_prefix, pattern=pre.own_pattern)
    return {
        "normalizer": pre.normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*pre.steps, cut]} if pre.steps else cut,
        "post_processor": _byte_level(),
        "decoder": _byte_level(),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": pre.ignore_merges,
            "vocab": dict(ids),
            "merges": [_pair(merge, ids) for merge in merges],
        },
    }


def _byte_level(*, space_prefix: bool = False, pattern: bool = True) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": space_prefix, "trim_offsets": True, "use_regex": pattern}


def _pair(merge: str, ids: Mapping[str, int]) -> str:
    left, _, right = merge.partition(" ")
    if left not in ids or right not in ids or left + right not in ids:
        raise ModelError(f"tokenizer.ggml.merges has {merge!r}, which does not join two tokens to a third")
    return merge
