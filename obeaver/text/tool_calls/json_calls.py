"""Calls written as JSON: one object each, alone, in a list, or one after the other.

What is understood in an object: `name` or `tool_name`; `arguments` or `parameters`, an object or a string that holds
one; the wrappers `function` and `function_call`, and `tool_calls` with a list of any of these. Members may come in any
order, others are passed over. Separators, trailing commas and one bracket too many or too few are forgiven.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from obeaver.text.hold_back import Patterns
from obeaver.text.tool_calls.chars import CallOutput, Chars, Malformed, Reading
from obeaver.text.tool_calls.json_text import JsonText

_NAME_KEYS = frozenset({"name", "function", "tool_name"})
_BARE_EXTRAS = frozenset({"type", "id", "index", "tool_call_id"})
_SCALAR_ENDS = ",]} \t\r\n"


class _BlockClosed(Exception):
    """A closing marker ended the block in the middle of a broken call."""


@dataclass(slots=True)
class _Call:
    """What is known of the call that is being read."""

    name: str | None = None
    unknown: bool = False
    is_list: bool = False
    has_arguments: bool = False
    announced: bool = False
    ended: bool = False
    early: list[str] = field(default_factory=list)


class JsonCalls:
    """Reads the calls of one block.

    Args:
        chars: The current character is the block's first.
        out: Where calls are reported.
        closers: Markers that may close the block.
        keyed: An object may also be one member, with the function's name as its key and the arguments as its value.
        bare: Nothing but the object itself tells that it is a call, so it must look like one from its first member on:
            no other members, arguments never missing.
    """

    def __init__(
        self,
        chars: Chars,
        out: CallOutput,
        *,
        closers: tuple[str, ...] = (),
        keyed: bool = False,
        bare: bool = False,
    ) -> None:
        self._chars = chars
        self._out = out
        self._closers = closers
        self._keyed = keyed
        self._bare = bare
        self._call = _Call()

    def read(self) -> Reading[None]:
        """Read all of the block.

        Raises:
            Malformed: What stands here is not a call; calls that were announced before remain.
        """
        in_list = self._chars.char == "["
        if in_list:
            yield from self._chars.next()
            yield from self._chars.skip_space()
        yield from self._objects(in_list)

    def read_members(self) -> Reading[None]:
        """Read the rest of a block that is a list, from its first member on.

        Raises:
            Malformed: As for `read`.
        """
        yield from self._objects(in_list=True)

    def _objects(self, in_list: bool) -> Reading[None]:
        try:
            yield from self._top_object()
            while not (yield from self._end_of_block(in_list)):
                yield from self._top_object()
        except _BlockClosed:
            pass

    def read_arguments(self, name: str) -> Reading[bool]:
        """Read nothing but the arguments of a function that is known already.

        Returns:
            Whether a closing marker ended them, as it does when they are broken.
        """
        self._call = _Call(name=name)
        try:
            yield from self._arguments()
        except _BlockClosed:
            return True
        return False

    def _top_object(self) -> Reading[None]:
        self._call = _Call()
        try:
            yield from self._object()
            self._end_of_object()
            yield from self._chars.next()
        except Malformed:
            if not self._call.ended:
                raise

    def _end_of_block(self, in_list: bool) -> Reading[bool]:
        while self._chars.char in ",;}]" or self._chars.char.isspace():
            if self._chars.char == "]" and in_list:
                self._dismiss()
                in_list = False
            yield from self._chars.next()
        if self._chars.char == "{":
            return False
        yield from self._chars.accept(self._closers, self._dismiss)
        return True

    def _dismiss(self) -> None:
        """What was read since the last call goes the way of that call."""
        if self._call.unknown:
            self._out.release()
        else:
            self._out.settle()

    def _end_of_object(self) -> None:
        call = self._call
        if call.name is not None and not call.ended and not self._bare:
            self._put("{}")
            self._end_arguments()
        if not (call.ended or call.is_list or call.unknown):
            raise Malformed
        self._dismiss()

    def _object(self) -> Reading[None]:
        """Read an object; its closing bracket is not yet consumed then."""
        chars = self._chars
        yield from chars.expect("{")
        yield from chars.skip_space()
        while chars.char != "}":
            key = yield from chars.whole_string()
            yield from chars.skip_space()
            yield from chars.expect(":")
            yield from chars.skip_space()
            yield from self._member(key)
            yield from chars.skip_space()
            if chars.char not in ",}":
                raise Malformed
            if chars.char == ",":
                yield from chars.next()
                yield from chars.skip_space()

    def _member(self, key: str) -> Reading[None]:
        call, char = self._call, self._chars.char
        if key in _NAME_KEYS and char == '"' and call.name is None:
            yield from self._name()
        elif self._keyed and call.name is None and char == "{" and self._out.tool(key) is not None:
            call.name = key
            yield from self._arguments()
        elif key in ("arguments", "parameters") and not call.has_arguments:
            yield from self._arguments()
        elif key in ("function", "function_call") and char == "{":
            yield from self._object()
            yield from self._chars.next()
        elif key == "tool_calls" and char == "[":
            yield from self._list()
        elif self._bare and (key not in _BARE_EXTRAS or char in "{["):
            raise Malformed
        else:
            yield from self._skip_value()

    def _list(self) -> Reading[None]:
        chars, outer = self._chars, self._call
        yield from chars.next()
        yield from chars.skip_space()
        while chars.char == "{":
            yield from self._top_object()
            yield from chars.skip_space()
            if chars.char == ",":
                yield from chars.next()
                yield from chars.skip_space()
        outer.is_list, outer.unknown = True, self._call.unknown
        self._call = outer
        yield from chars.expect("]")

    def _name(self) -> Reading[None]:
        call = self._call
        name = yield from self._chars.whole_string()
        call.unknown = self._out.tool(name) is None
        if call.unknown:
            if self._bare:
                raise Malformed
            return
        call.name = name
        if call.has_arguments:
            self._put("".join(call.early))
            self._end_arguments()

    def _arguments(self) -> Reading[None]:
        self._call.has_arguments = True
        try:
            yield from self._arguments_value()
        except Malformed:
            if not self._call.announced:
                raise
            yield from self._broken_arguments()

    def _broken_arguments(self) -> Reading[None]:
        # The call is announced and cannot be taken back: what the model wrote in its block belongs to it.
        yield from self._chars.through(Patterns(self._closers), self._out.arguments)
        self._end_arguments()
        self._out.settle()
        yield from self._chars.next()
        raise _BlockClosed

    def _arguments_value(self) -> Reading[None]:
        chars = self._chars
        if chars.char == '"':
            yield from self._quoted_arguments()
        elif chars.char == "'":
            yield from chars.next()
            yield from chars.skip_space()
            yield from self._arguments_object()
            yield from chars.skip_space()
            yield from chars.expect("'")
        elif chars.char == "n":
            yield from chars.expect("null")
            self._put("{}")
            self._end_arguments()
        else:
            yield from self._arguments_object()

    def _arguments_object(self) -> Reading[None]:
        if self._chars.char != "{":
            raise Malformed
        yield from self._brackets(self._put)
        self._end_arguments()
        yield from self._chars.next()

    def _quoted_arguments(self) -> Reading[None]:
        quoted = _QuotedObject(self._put)
        yield from self._chars.string(quoted.feed)
        quoted.close()
        self._end_arguments()
        yield from self._chars.next()

    def _put(self, text: str) -> None:
        call = self._call
        if call.name is None:
            call.early.append(text)
            return
        if not call.announced:
            call.announced = True
            self._out.call(call.name)
        self._out.arguments(text)

    def _end_arguments(self) -> None:
        if self._call.announced:
            self._call.ended = True
            self._out.end_call()

    def _brackets(self, put: Callable[[str], None]) -> Reading[None]:
        """Give out a value in brackets; the last bracket is not yet consumed then."""
        text = JsonText()
        put(text.feed(self._chars.char))
        while not text.complete:
            yield from self._chars.next()
            put(text.feed(self._chars.char))

    def _skip_value(self) -> Reading[None]:
        if self._chars.char == '"':
            yield from self._chars.whole_string()
        elif self._chars.char in "{[":
            yield from self._brackets(lambda _: None)
            yield from self._chars.next()
        else:
            yield from self._chars.until(_SCALAR_ENDS, forbidden='{["<')


class _QuotedObject:
    """An object that stands in a string, as OpenAI's own arguments do; an empty string is an empty object."""

    def __init__(self, put: Callable[[str], None]) -> None:
        self._put = put
        self._text = JsonText()
        self._begun = False

    def feed(self, text: str) -> None:
        """Take some characters of the string."""
        for char in text:
            if self._begun and not self._text.complete:
                self._put(self._text.feed(char))
            elif char == "{" and not self._begun:
                self._begun = True
                self._put(self._text.feed(char))
            elif not (char.isspace() or (self._begun and char == "}")):
                raise Malformed

    def close(self) -> None:
        """The string has ended."""
        if not self._begun:
            self._put("{}")
        elif not self._text.complete:
            raise Malformed
