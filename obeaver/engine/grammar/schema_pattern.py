r"""Patterns of JSON Schemas, in a form that means the same everywhere and that JSON strings can be held to.

JSON Schema's patterns are ECMA-262's regular expressions; validators read them as their own language's. What the
dialects read differently is given the meaning that all of them share, or is refused where there is none.

The result is in the syntax of Rust's regex crate, without captures, and none of its classes holds a character that
`grammar.LAYOUT` cannot write. The latter is more than tidiness: llguidance translates a pattern to the text of the JSON
string, and from a class that holds all control characters it makes one that lets `\"` and `\\` through, whether the
class holds these or not.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Inclusive ranges of code points."""

UNWRITABLE: Final[Ranges] = ((0x00, 0x07), (0x0B, 0x0B), (0x0E, 0x1F), (0x7F, 0x7F))
"""What JSON writes as \\uXXXX, which `grammar.LAYOUT` does not allow."""


class PatternRefused(ValueError):
    """A pattern that no grammar can be held to, or that dialects read differently. The text says why."""


def portable_pattern(pattern: str) -> str:
    r"""A pattern whose matches are matches in every dialect of regular expressions, in the syntax of Rust's.

    Dialects differ in what `\d`, `\w`, `\s` and the dot hold beyond ASCII. Where such a class allows something, it is
    given what it holds in all of them; where it excludes, what it holds in any.

    Raises:
        PatternRefused: There is none.
    """
    return _Translation(pattern).whole()


def _written(ranges: Ranges) -> str:
    """Ranges as a class has them; one character also stands so outside of classes."""
    return "".join(_point(low) + (f"-{_point(high)}" if high > low else "") for low, high in ranges)


def _point(code: int) -> str:
    character = chr(code)
    if not character.isascii() or not character.isprintable():
        return f"\\x{{{code:x}}}"
    # An escaped angle bracket would be a word's boundary.
    return character if character.isalnum() or character in " <>" else f"\\{character}"


def _without(ranges: Ranges, removed: Ranges) -> Ranges:
    for gone_low, gone_high in removed:
        kept: list[tuple[int, int]] = []
        for low, high in ranges:
            kept += [
                part for part in ((low, min(high, gone_low - 1)), (max(low, gone_high + 1), high)) if part[0] <= part[1]
            ]
        ranges = tuple(kept)
    return ranges


_SPACES: Final[Ranges] = (
    *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)),
    *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
)
_DIGITS: Final[Ranges] = ((0x30, 0x39),)
_WORD: Final[Ranges] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
# Characters that a class holds in every dialect, and those that it holds in any: ECMA-262 without and with its u flag,
# Python, Rust.
_IN_ALL: Final = {"d": _DIGITS, "w": _WORD, "s": _without(_SPACES, UNWRITABLE)}
_IN_ANY: Final = {
    "d": "\\p{Nd}",
    "w": "\\p{L}\\p{M}\\p{N}\\p{Pc}",
    "s": _written((*_SPACES, (0x1C, 0x1F), (0x85, 0x85), (0xFEFF, 0xFEFF))),
}
_NEVER: Final = _written(UNWRITABLE)
# What ends a line in ECMA-262; in other dialects a dot matches some of these.
_ANY_IN_LINE: Final = f"[^\\n\\r\\x{{2028}}\\x{{2029}}{_NEVER}]"
_NOTHING: Final = "[a&&b]"
_CONTROLS: Final = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D}
_COUNT: Final = re.compile(r"\{(\d+)(,(\d*))?\}", re.ASCII)
_NO_MINIMUM: Final = re.compile(r"\{,\d+\}", re.ASCII)
_PROPERTY: Final = re.compile(r"\{[A-Za-z0-9_]+(=[A-Za-z0-9_]+)?\}")
_NAMED_GROUP: Final = re.compile(r"\?P?<[A-Za-z_$][A-Za-z0-9_$]*>")
_MAX_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class _Class:
    r"""What one escape stands for in a class.

    Attributes:
        holds: Its members as dialects agree on them, in Rust's syntax.
        may_hold: Its members as any dialect has them.
        code: Of a single character.
        letter: Of a shorthand such as `\\d`.
    """

    holds: str
    may_hold: str
    code: int | None = None
    letter: str = ""


class _Translation:
    """One pass over a pattern."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._depth = 0

    def whole(self) -> str:
        translated = self._alternatives()
        if self._at < len(self._text):
            raise PatternRefused("a group is closed that was not opened")
        return translated

    def _alternatives(self) -> str:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise PatternRefused("its groups are nested too deep")
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        self._depth -= 1
        return "|".join(branches)

    def _sequence(self) -> str:
        pieces: list[str] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            pieces.append(self._term())
        return "".join(pieces)

    def _term(self) -> str:
        if self._take("^", "$"):
            anchor = self._text[self._at - 1]
            if self._quantifier():
                raise PatternRefused("an anchor is repeated")
            return anchor
        return self._atom() + self._quantifier()

    def _atom(self) -> str:
        character = self._next()
        if character == "(":
            return self._group()
        if character == "[":
            return self._bracketed()
        if character == ".":
            return _ANY_IN_LINE
        if character == "\\":
            return self._alone(self._escape())
        if character in "*+?" or (character == "{" and self._count(self._at - 1)):
            raise PatternRefused("there is nothing that a quantifier could repeat")
        return _literal(ord(character))

    def _group(self) -> str:
        named = _NAMED_GROUP.match(self._text, self._at)
        if named:
            self._at = named.end()
        elif not self._take("?:") and self._text.startswith("?", self._at):
            looks = any(self._text.startswith(start, self._at) for start in ("?=", "?!", "?<=", "?<!"))
            raise PatternRefused("look-around is not supported" if looks else "flags are not supported")
        inner = self._alternatives()
        if not self._take(")"):
            raise PatternRefused("a group is not closed")
        return f"(?:{inner})"

    def _quantifier(self) -> str:
        if self._take("*", "+", "?"):
            quantifier = self._text[self._at - 1]
        elif count := self._count():
            self._at = count.end()
            quantifier = count.group()
            if count.group(3) and int(count.group(3)) < int(count.group(1)):
                raise PatternRefused("a quantifier's minimum is above its maximum")
        else:
            return ""
        self._take("?")
        if self._text.startswith(("*", "+", "?"), self._at) or self._count():
            raise PatternRefused("a quantifier is repeated")
        return quantifier

    def _count(self, at: int | None = None) -> re.Match[str] | None:
        place = self._at if at is None else at
        if _NO_MINIMUM.match(self._text, place):
            raise PatternRefused("a quantifier has no minimum, which is text in some dialects")
        return _COUNT.match(self._text, place)

    def _alone(self, escape: _Class) -> str:
        if escape.code is not None:
            return _literal(escape.code)
        return f"[{escape.holds}]" if escape.holds else _NOTHING

    def _bracketed(self) -> str:
        negated = self._take("^")
        if self._text.startswith("]", self._at):
            raise PatternRefused("a class is empty, which dialects read differently")
        members: list[_Class] = []
        while not self._take("]"):
            members.append(self._member())
        letters = {member.letter for member in members if member.letter}
        if any(letter.swapcase() in letters for letter in letters):
            return _NOTHING if negated else f"[^{_NEVER}]"
        if negated:
            return f"[^{''.join(member.may_hold for member in members)}{_NEVER}]"
        return f"[{held}]" if (held := "".join(member.holds for member in members)) else _NOTHING

    def _member(self) -> _Class:
        first = self._single()
        if not (self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at)):
            return first
        if first.code is None:
            return first
        self._at += 1
        last = self._single()
        if last.code is None or last.code < first.code:
            raise PatternRefused("a class has a range that goes backwards or has no end")
        return _class_of(((first.code, last.code),))

    def _single(self) -> _Class:
        if self._at >= len(self._text):
            raise PatternRefused("a class is not closed")
        character = self._next()
        if character != "\\":
            return _character(ord(character))
        if self._take("b"):
            return _character(0x08)
        return self._escape()

    def _escape(self) -> _Class:
        if self._at >= len(self._text):
            raise PatternRefused("it ends within an escape")
        letter = self._next()
        if letter.lower() in _IN_ALL:
            return _shorthand(letter)
        if letter in "pP":
            return self._property(letter)
        if letter in _CONTROLS:
            return _character(_CONTROLS[letter])
        if letter in "xuc0":
            return _character(self._code(letter))
        if letter.isalnum():
            raise PatternRefused(_REASONS.get(letter, "it has an escape that dialects read differently"))
        return _character(ord(letter))

    def _property(self, letter: str) -> _Class:
        found = _PROPERTY.match(self._text, self._at)
        if found is None:
            raise PatternRefused("a Unicode property has no name in braces")
        self._at = found.end()
        named = f"\\{letter}{found.group()}"
        return _Class(f"[{named}--[{_NEVER}]]", named)

    def _code(self, letter: str) -> int:
        if letter == "0":
            if self._text[self._at : self._at + 1].isdigit():
                raise PatternRefused("octal escapes are not supported")
            return 0
        if letter == "c":
            control = self._next() if self._at < len(self._text) else ""
            if not (control.isascii() and control.isalpha()):
                raise PatternRefused("a control escape has no letter")
            return ord(control) % 32
        code = self._hex(2 if letter == "x" else 4)
        if 0xD800 <= code <= 0xDBFF and self._take("\\u"):
            low = self._hex(4)
            if 0xDC00 <= low <= 0xDFFF:
                return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        if 0xD800 <= code <= 0xDFFF:
            raise PatternRefused("it names half of a surrogate pair")
        return code

    def _hex(self, num_digits: int) -> int:
        digits = self._text[self._at : self._at + num_digits]
        if len(digits) < num_digits or set(digits) - set("0123456789abcdefABCDEF"):
            raise PatternRefused("an escape is not followed by hexadecimal digits")
        self._at += num_digits
        return int(digits, 16)

    def _next(self) -> str:
        character = self._text[self._at]
        self._at += 1
        return character

    def _take(self, *texts: str) -> bool:
        for text in texts:
            if self._text.startswith(text, self._at):
                self._at += len(text)
                return True
        return False


_REASONS: Final = {
    **dict.fromkeys("bB", "word boundaries are not supported"),
    **dict.fromkeys("123456789k", "back-references are not supported"),
}


def _literal(code: int) -> str:
    if 0xD800 <= code <= 0xDFFF:
        raise PatternRefused("it names half of a surrogate pair")
    written = _without(((code, code),), UNWRITABLE)
    return _written(written) if written else _NOTHING


def _character(code: int) -> _Class:
    if 0xD800 <= code <= 0xDFFF:
        raise PatternRefused("it names half of a surrogate pair")
    return _Class(_written(_without(((code, code),), UNWRITABLE)), _written(((code, code),)), code)


def _class_of(ranges: Ranges) -> _Class:
    return _Class(_written(_without(ranges, UNWRITABLE)), _written(ranges))


def _shorthand(letter: str) -> _Class:
    r"""`\d` and its like. An inverted one holds what no dialect takes for a member, and may hold what not all do."""
    in_all, in_any = _IN_ALL[letter.lower()], _IN_ANY[letter.lower()]
    if letter.isupper():
        return _Class(f"[^{in_any}{_NEVER}]", f"[^{_written(in_all)}]", letter=letter)
    return _Class(_written(in_all), in_any, letter=letter)
