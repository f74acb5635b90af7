"""What is text, and what is refused as none."""

from pathlib import Path

import pytest

from obeaver.utf8 import NotUtf8, given_text, read_utf8, utf8_text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b"a", "a"),
        ("café 🦫\r\n".encode(), "café 🦫\r\n"),
        ("\ufeffcafé".encode(), "café"),
        ("a\ufeff".encode(), "a\ufeff"),
        (b"\x01\x7f", "\x01\x7f"),
    ],
)
def test_utf8_is_text_with_and_without_a_mark(raw: bytes, text: str) -> None:
    assert utf8_text(raw) == text


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("café\n".encode("latin-1"), "is not UTF-8 text: line 1 holds the byte 0xe9"),
        ("one\ntwo\ncafé".encode("cp1252"), "is not UTF-8 text: line 3 holds the byte 0xe9"),
        ("hello".encode("utf-16"), "is UTF-16, not UTF-8 text"),
        ("hello".encode("utf-16-le"), "is UTF-16, not UTF-8 text"),
        ("hello\nworld".encode("utf-16-be"), "is UTF-16, not UTF-8 text"),
        ("é".encode("utf-16"), "is UTF-16, not UTF-8 text"),
        ("日本".encode("shift_jis"), "is not UTF-8 text: line 1"),
        ("hello".encode("utf-32-le"), "is UTF-16, not UTF-8 text"),
        (b"one\ntwo\0three, and some more words", "is not UTF-8 text: line 2 holds a NUL byte"),
        (b"\xc3", "is not UTF-8 text: line 1 holds the byte 0xc3"),
        (b"\xed\xa0\x80", "is not UTF-8 text: line 1 holds the byte 0xed"),
    ],
)
def test_anything_else_is_none_and_the_reason_says_what(tmp_path: Path, raw: bytes, reason: str) -> None:
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(NotUtf8, match=reason):
        read_utf8(tmp_path / "file")


def test_what_the_command_line_could_not_decode_is_no_text() -> None:
    assert given_text("café") == "café"
    with pytest.raises(NotUtf8, match="line 1 holds the byte 0xe9"):
        given_text(b"caf\xe9".decode("utf-8", "surrogateescape"))
