"""The bytes that each token stands for, worked out once from a tokenizer.json's decoder.

Two families cover the chat models: byte-level vocabularies write every byte as a printable character (GPT-2's table);
SentencePiece ones write a space as U+2581 and a byte without a token as `<0xE4>`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SPACE_MARK = "\u2581"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True, slots=True)
class TokenTable:
    """What decoding needs.

    Attributes:
        rows: The bytes of each id; empty where there is no such token.
        strips_space: One space at the beginning of a text is the tokenizer's, not the text's.
    """

    rows: list[bytes]
    strips_space: bool


def token_table(vocab: Mapping[str, int], added: Mapping[int, str], decoder: object) -> TokenTable | None:
    """Work the table out.

    Args:
        vocab: Every token with its id, added ones too.
        added: Those that stand for their own characters.
        decoder: The `decoder` of the tokenizer.json.

    Returns:
        None for a decoder of neither family.
    """
    steps = list(_steps(decoder))
    to_bytes = _family(steps)
    if to_bytes is None:
        return None
    rows = [b""] * (max(vocab.values(), default=-1) + 1)
    for token, token_id in vocab.items():
        rows[token_id] = to_bytes(token)
    for token_id, token in added.items():
        rows[token_id] = token.replace(_SPACE_MARK, " ").encode() if to_bytes is _piece_bytes else token.encode()
    return TokenTable(rows, any(map(_strips_space, steps)))


def _steps(decoder: object) -> Iterator[Mapping[str, Any]]:
    """The decoder's steps, with sequences laid out flat."""
    if isinstance(decoder, dict):
        if decoder.get("type") == "Sequence":
            for step in decoder.get("decoders", ()):
                yield from _steps(step)
        else:
            yield decoder


def _family(steps: list[Mapping[str, Any]]) -> Callable[[str], bytes] | None:
    kinds = {step.get("type") for step in steps}
    if "ByteLevel" in kinds:
        return _byte_level_bytes
    return _piece_bytes if kinds & {"ByteFallback", "Metaspace"} else None


def _strips_space(step: Mapping[str, Any]) -> bool:
    if step.get("type") == "Metaspace":
        return step.get("prepend_scheme", "always") != "never" and step.get("add_prefix_space", True) is True
    return step.get("type") == "Strip" and step.get("content") == " " and step.get("start", 0) > 0


def _printable_bytes() -> dict[int, int]:
    """GPT-2's table from character to byte: printable bytes are themselves, the others follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {byte: byte for byte in printable} | {0x100 + index: byte for index, byte in enumerate(others)}


_BYTE_OF = _printable_bytes()


def _byte_level_bytes(token: str) -> bytes:
    if all(ord(character) in _BYTE_OF for character in token):
        return token.translate(_BYTE_OF).encode("latin-1")
    return token.encode()


def _piece_bytes(token: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(token)
    return bytes.fromhex(byte[1]) if byte else token.replace(_SPACE_MARK, " ").encode()
