"""Byte-level BPE vocabularies (`tokenizer.ggml.model` = `gpt2`), as the parts of a tokenizer.json.

Such vocabularies differ in how text is cut before merging: `pre_tokenizers.py` has the ways.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from obeaver.errors import ModelError
from obeaver.models.gguf.pre_tokenizers import PreTokenizer


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
