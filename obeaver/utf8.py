"""Text that people give: it is UTF-8, with or without a byte order mark, and nothing else is taken for it."""

import codecs
from pathlib import Path


class NotUtf8(ValueError):
    """These bytes are no UTF-8 text; `str(error)` goes on where the name of the file stands: "is UTF-16, …"."""


def utf8_text(raw: bytes, first_line: int = 1) -> str:
    """The text, without a byte order mark at its beginning.

    Args:
        raw: All of it, or what follows the lines in front of `first_line`.
        first_line: Number of its first line, for the reason.

    Raises:
        NotUtf8: It is something else; says what, as far as that can be seen.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _looks_like_utf16(raw):
        raise NotUtf8("is UTF-16, not UTF-8 text: save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig" if first_line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + first_line
        raise NotUtf8(f"is not UTF-8 text: line {line} holds the byte 0x{raw[error.start]:02x}") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + first_line
        raise NotUtf8(f"is not UTF-8 text: line {line} holds a NUL byte")
    return text


def _looks_like_utf16(raw: bytes) -> bool:
    """Without a mark, text of mostly ASCII letters has a NUL in every other byte."""
    head = raw[: 1 << 12]
    return len(raw) > 1 and max(head[::2].count(0), head[1::2].count(0)) * 4 > len(head)


def read_utf8(path: Path) -> str:
    """A file's text.

    Raises:
        NotUtf8: It is something else.
        OSError: It cannot be read.
    """
    return utf8_text(path.read_bytes())


def given_text(text: str) -> str:
    """A text from the command line or the keyboard, where Python passes on as lone surrogates what is no UTF-8.

    Raises:
        NotUtf8: It holds such.
    """
    return utf8_text(text.encode("utf-8", "surrogateescape"))
