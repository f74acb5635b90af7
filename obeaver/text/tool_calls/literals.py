"""Values as Python and its like write them, read while they arrive and given out as JSON."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from obeaver.text.hold_back import Patterns
from obeaver.text.tool_calls.chars import Chars, Malformed, Reading
from obeaver.text.tool_calls.plain_values import as_json, quoted

_CLOSERS: Final = {"[": "]", "(": ")", "{": "}"}
_QUOTES: Final = ('"', "'")
_ESCAPABLE: Final = frozenset("\"'\\/bfnrtu")
_WORD_ENDS: Final = ",)]}"
_NOT_IN_WORDS: Final = "([{\"'`"
_MAX_DEPTH: Final = 64


class Literals:
    """Reads one value after another.

    Args:
        chars: The current character is the first of a value.
        put: Where the JSON text goes.
        quote: A mark that stands around strings, beside `"` and `'`; "" where there is none.
    """

    def __init__(self, chars: Chars, put: Callable[[str], None], quote: str) -> None:
        self._chars = chars
        self._put = put
        self._quote = quote
        self._end_quote = Patterns([quote])
        self._depth = 0

    def value(self, types: frozenset[str]) -> Reading[None]:
        """Read a value; the next character is current then.

        Args:
            types: JSON types that it may be of; any where there are none.

        Raises:
            Malformed: This is no value.
        """
        char = self._chars.char
        if char in _CLOSERS:
            yield from self._collection()
        elif char in _QUOTES or char == self._quote[:1]:
            yield from self._string()
        else:
            yield from self._word(types)

    def _string(self) -> Reading[None]:
        chars, delimiter = self._chars, self._chars.char
        if delimiter == self._quote[:1]:
            yield from chars.expect(self._quote)
            self._put('"')
            yield from chars.through(self._end_quote, self._put_text)
        else:
            yield from chars.next()
            self._put('"')
            while chars.char != delimiter:
                yield from self._letter()
        self._put('"')
        yield from chars.next()

    def _letter(self) -> Reading[None]:
        chars = self._chars
        if chars.char == "\\":
            yield from chars.next()
            self._put_text((yield from self._escaped()))
        else:
            self._put_text(chars.char)
            yield from chars.next()

    def _put_text(self, text: str) -> None:
        self._put(quoted(text)[1:-1])

    def _escaped(self) -> Reading[str]:
        # Python leaves a backslash alone that escapes nothing.
        return (yield from self._chars.escape()) if self._chars.char in _ESCAPABLE else "\\"

    def _word(self, types: frozenset[str]) -> Reading[None]:
        word = yield from self._chars.until(_WORD_ENDS, forbidden=_NOT_IN_WORDS)
        if not word.strip():
            raise Malformed
        self._put(as_json(word, types) if types == {"string"} else as_json(word.strip(), frozenset()))

    def _collection(self) -> Reading[None]:
        chars = self._chars
        opening, closing = chars.char, _CLOSERS[chars.char]
        is_object = opening == "{"
        with self._deeper():
            self._put("{" if is_object else "[")
            yield from chars.next()
            yield from chars.skip_space()
            separator = ""
            while chars.char != closing:
                self._put(separator)
                separator = ", "
                if is_object:
                    yield from self._key()
                yield from self.value(frozenset())
                yield from self._between(closing)
            self._put("}" if is_object else "]")
            yield from chars.next()

    def _key(self) -> Reading[None]:
        chars = self._chars
        if chars.char in _QUOTES or chars.char == self._quote[:1]:
            yield from self._string()
        else:
            self._put(quoted((yield from chars.until(":", forbidden=_WORD_ENDS + _NOT_IN_WORDS)).strip()))
        yield from chars.skip_space()
        yield from chars.expect(":")
        yield from chars.skip_space()
        self._put(": ")

    def _between(self, closing: str) -> Reading[None]:
        """Go to the next member of a collection, or to its end."""
        chars = self._chars
        yield from chars.skip_space()
        if chars.char == ",":
            yield from chars.next()
            yield from chars.skip_space()
        elif chars.char != closing:
            raise Malformed

    @contextlib.contextmanager
    def _deeper(self) -> Iterator[None]:
        if self._depth == _MAX_DEPTH:
            raise Malformed
        self._depth += 1
        yield
        self._depth -= 1
