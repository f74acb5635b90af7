"""Tokenizers of encoders in a GGUF's metadata, as the plain data of a tokenizer.json.

tokenizer.ggml.model   bert   WordPiece; tokens that begin a word have a mark before them, others no `##`
                       t5     SentencePiece's unigram model: tokens with scores, and a table of characters
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from obeaver.errors import ModelError
from obeaver.models.gguf.sentencepiece import SPACE_MARK
from obeaver.models.gguf.vocabulary import Frame, TokenType, ids_of

WORD_MODELS: Final = ("bert", "t5")
"""Values of `tokenizer.ggml.model` that are read here."""

_KEY: Final = "tokenizer.ggml."
_NOT_TEXT: Final = (TokenType.CONTROL, TokenType.UNKNOWN)
_MARK_INSIDE: Final = "##"


def word_tokenizer(metadata: Mapping[str, object]) -> dict[str, Any]:
    """The whole tokenizer.json.

    Raises:
        ModelError: The vocabulary is incomplete or contradicts itself; says where.
    """
    return (_word_piece if metadata.get(f"{_KEY}model") == "bert" else _unigram)(metadata)


def _word_piece(metadata: Mapping[str, object]) -> dict[str, Any]:
    tokens, types = _tokens(metadata), _types(metadata)
    written = [token if kind in _NOT_TEXT else _as_word_piece(token) for token, kind in zip(tokens, types, strict=True)]
    unknown = written[_token_id(metadata, "unknown")]
    begin, end = _frame(metadata, written)
    is_cased = any(token != token.lower() for token, kind in zip(written, types, strict=True) if _is_text(token, kind))
    return _whole(
        _added(written, types),
        normalizer={
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": not is_cased,
        },
        pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor=_frames(begin, end, ends_between=1, second=1),
        decoder={"type": "WordPiece", "prefix": _MARK_INSIDE, "cleanup": True},
        model={
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": _MARK_INSIDE,
            "max_input_chars_per_word": 100,
            "vocab": ids_of(written),
        },
    )


def _is_text(token: str, kind: TokenType) -> bool:
    return kind is TokenType.NORMAL and not token.startswith("[")


def _as_word_piece(token: str) -> str:
    return token.removeprefix(SPACE_MARK) if token.startswith(SPACE_MARK) else _MARK_INSIDE + token


def _unigram(metadata: Mapping[str, object]) -> dict[str, Any]:
    tokens, types = _tokens(metadata), _types(metadata)
    begin, end = _frame(metadata, tokens)
    scores = _numbers(metadata, "scores", len(tokens))
    steps: list[dict[str, Any]] = []
    if characters := metadata.get(f"{_KEY}precompiled_charsmap"):
        steps.append({"type": "Precompiled", "precompiled_charsmap": _base64(characters)})
    if metadata.get(f"{_KEY}remove_extra_whitespaces", True) is True:
        steps.append({"type": "Strip", "strip_left": True, "strip_right": True})
        steps.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    always = metadata.get(f"{_KEY}add_space_prefix", True) is True
    metaspace = {
        "type": "Metaspace",
        "replacement": SPACE_MARK,
        "prepend_scheme": "always" if always else "never",
        "split": True,
    }
    return _whole(
        _added(tokens, types),
        normalizer={"type": "Sequence", "normalizers": steps} if steps else None,
        pre_tokenizer=metaspace,
        post_processor=_frames(begin, end, ends_between=2, second=0),
        decoder=metaspace,
        model={
            "type": "Unigram",
            "unk_id": _token_id(metadata, "unknown"),
            "vocab": [[token, float(score)] for token, score in zip(tokens, scores, strict=True)],
            "byte_fallback": False,
        },
    )


def _base64(values: object) -> str:
    if not isinstance(values, list) or not all(isinstance(value, int) and -128 <= value < 256 for value in values):
        raise ModelError(f"{_KEY}precompiled_charsmap is no list of bytes")
    return base64.b64encode(bytes(value & 0xFF for value in values)).decode("ascii")


def _whole(added: Sequence[Mapping[str, Any]], **parts: Any) -> dict[str, Any]:
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added), **parts}


def _frames(begin: Frame, end: Frame, *, ends_between: int, second: int) -> dict[str, Any]:
    """`begin A end`, and for pairs `begin A end B end`, with so many ends between and a segment for the second text."""
    first = [_special(begin, 0), _text("A", 0)]
    between = [_special(end, 0)] * ends_between
    return {
        "type": "TemplateProcessing",
        "single": [*first, _special(end, 0)],
        "pair": [*first, *between, _text("B", second), _special(end, second)],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]} for token, index in (begin, end)},
    }


def _special(token: Frame, segment: int) -> dict[str, Any]:
    return {"SpecialToken": {"id": token[0], "type_id": segment}}


def _text(name: str, segment: int) -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": segment}}


def _frame(metadata: Mapping[str, object], tokens: Sequence[str]) -> tuple[Frame, Frame]:
    """What stands before and behind a text."""
    begin = _token_id(metadata, "cls", "bos")
    # The key is written so.
    end = _token_id(metadata, "seperator", "eos")
    return (tokens[begin], begin), (tokens[end], end)


def _tokens(metadata: Mapping[str, object]) -> list[str]:
    tokens = metadata.get(f"{_KEY}tokens")
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
        raise ModelError(f"{_KEY}tokens is missing or is no list of strings")
    return tokens


def _types(metadata: Mapping[str, object]) -> list[TokenType]:
    try:
        return [TokenType(int(value)) for value in _numbers(metadata, "token_type", len(_tokens(metadata)))]
    except ValueError as error:
        raise ModelError(f"{_KEY}token_type has an unknown type: {error}") from error


def _numbers(metadata: Mapping[str, object], key: str, length: int) -> Sequence[float]:
    values = metadata.get(f"{_KEY}{key}")
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        raise ModelError(f"{_KEY}{key} is missing or is no list of numbers")
    if len(values) != length:
        raise ModelError(f"{_KEY}{key} has {len(values)} entries for {length} tokens")
    return values


def _token_id(metadata: Mapping[str, object], *names: str) -> int:
    """The id under the first of these names that the file has."""
    count = len(_tokens(metadata))
    for name in names:
        value = metadata.get(f"{_KEY}{name}_token_id")
        if isinstance(value, int) and 0 <= value < count:
            return value
    raise ModelError(f"{_KEY}{names[0]}_token_id is missing or out of range")


def _added(tokens: Sequence[str], types: Sequence[TokenType]) -> list[dict[str, Any]]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return [
        {"id": index, "content": token, **flags}
        for index, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in _NOT_TEXT
    ]
