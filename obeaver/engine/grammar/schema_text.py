"""Texts that a JSON Schema asks for: its formats, and its patterns in a form that means the same everywhere."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

_DIGITS_01_TO_99 = "(?:0[1-9]|[1-9][0-9])"
_LEAP_IN_CENTURY = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP_YEAR = f"(?:[0-9]{{2}}{_LEAP_IN_CENTURY}|{_LEAP_IN_CENTURY}00)"
# Calendars of programming languages have no year 0.
_YEAR = f"(?:[0-9]{{2}}{_DIGITS_01_TO_99}|{_DIGITS_01_TO_99}00)"
_DATE = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
# No leap seconds, which are valid in one minute of a few days; no more digits than clocks have.
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
# RFC 1123 labels. No label has hyphens in third and fourth place: that is how encoded labels begin, which have rules of
# their own (RFC 5891, section 4.2.3.1). At most four, so that the whole stays below 254 characters.
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9]|[a-zA-Z0-9-][a-zA-Z0-9](?:[a-zA-Z0-9-]{0,58}[a-zA-Z0-9])?)?"

FORMATS: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "date": _DATE,
        "time": _TIME,
        "date-time": f"{_DATE}T{_TIME}",
        "hostname": f"{_LABEL}(?:\\.{_LABEL}){{0,3}}",
        "duration": None,
        "email": None,
        "ipv4": None,
        "ipv6": None,
        "uri": None,
        "uuid": None,
    }
)
"""Formats that are enforced, by these patterns or, where there is None, by llguidance's own."""

_SPACES = "\\t\\n\\x0b\\x0c\\r \\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
# Characters that a class holds in every dialect, and those that it holds in any: ECMA-262 without and with its u flag,
# Python, Rust.
_IN_ALL: Final = {"d": "0-9", "w": "0-9A-Za-z_", "s": _SPACES}
_IN_ANY: Final = {
    "d": "\\p{Nd}",
    "w": "\\p{L}\\p{M}\\p{N}\\p{Pc}",
    "s": f"{_SPACES}\\x1c-\\x1f\\x{{85}}\\x{{feff}}",
}
_PIECES = re.compile(r"\\.|\[\^?|\]|[^\\\[\]]+", re.DOTALL)
# What ends a line in ECMA-262; in other dialects a dot matches some of these.
_NO_LINE_END: Final = "[^\\n\\r\\x{2028}\\x{2029}]"


def portable_pattern(pattern: str) -> str:
    r"""A pattern whose matches are matches in every dialect of regular expressions, in the syntax of Rust's.

    Dialects differ in what `\d`, `\w`, `\s` and the dot hold beyond ASCII. Where such a class allows something, it is
    given what it holds in all of them; where it excludes, what it holds in any.
    """
    return "".join(_portable(pattern))


def _portable(pattern: str) -> Iterator[str]:
    in_class, negated = False, False
    for piece in _PIECES.findall(pattern):
        if piece[0] == "[" and not in_class:
            in_class, negated = True, piece == "[^"
            yield piece
        elif piece == "]":
            yield "]" if in_class else "\\]"
            in_class = False
        elif piece[0] == "\\" and piece[1:].lower() in _IN_ALL:
            yield _class(piece[1], in_class=in_class, negated=negated)
        elif in_class:
            yield _literal_in_class(piece)
        else:
            yield piece if piece[0] == "\\" else piece.replace(".", _NO_LINE_END)


def _literal_in_class(piece: str) -> str:
    """What Rust takes for classes within classes, and for operators between them, is text in ECMA-262."""
    for operator in ("&&", "~~", "--"):
        piece = piece.replace(operator, f"{operator[0]}\\{operator[0]}")
    return f"\\{piece}" if piece[0] == "[" else piece


def _class(letter: str, *, in_class: bool, negated: bool) -> str:
    inverted = letter.isupper()
    # In [^\W] two negations meet: what is left is what \w allows.
    members = (_IN_ANY if inverted != negated else _IN_ALL)[letter.lower()]
    if inverted:
        return f"[^{members}]"
    return members if in_class else f"[{members}]"
