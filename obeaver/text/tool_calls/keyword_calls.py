"""Calls as a programming language has them: a name, and in brackets arguments by their names.

`[get_weather(city="Paris", days=3), get_time()]` is what models write that were shown Python; Gemma 4 has
`call:get_weather{city:<|"|>Paris<|"|>,days:3}`.
"""

from collections.abc import Mapping
from typing import Final

from obeaver.text.tool_calls.arguments import KeywordArguments
from obeaver.text.tool_calls.chars import CallOutput, Chars, Malformed, Reading
from obeaver.text.tool_calls.json_calls import JsonCalls
from obeaver.text.tool_calls.literals import Literals
from obeaver.text.tool_calls.plain_values import quoted, types_of
from obeaver.text.tool_spec import ToolSpec

PYTHON: Final = KeywordArguments("=", words=("True", "False", "None"))
GEMMA: Final = KeywordArguments(":", separator=",", quote='<|"|>')

_BRACKETS: Final = {"(": ")", "{": "}"}
_NOT_IN_NAMES: Final = "\"'`<>=,:;()[]{} \n"
_NOT_IN_KEYS: Final = "\"'`<>=,:;()[]{}\n"
_QUOTES: Final = ('"', "'")
_BEGIN_VALUES: Final = frozenset("\"'[{-")


class KeywordCalls:
    """Reads calls.

    Args:
        chars: The current character is the first of a call.
        out: Where calls are reported.
        style: How arguments are written.
        bracket: Opens the arguments.
    """

    def __init__(self, chars: Chars, out: CallOutput, style: KeywordArguments, bracket: str = "(") -> None:
        self._chars = chars
        self._out = out
        self._style = style
        self._bracket = bracket

    def read_members(self) -> Reading[None]:
        """Read calls in square brackets, from the first of them on.

        Raises:
            Malformed: What stands here is not a call; calls that were announced before remain.
        """
        chars = self._chars
        yield from self.read()
        yield from chars.skip_space()
        while chars.char == ",":
            yield from chars.next()
            yield from chars.skip_space()
            if chars.char != "]":
                yield from self.read()
                yield from chars.skip_space()
        if chars.char == "]":
            self._out.settle()
            yield from chars.next()

    def read(self) -> Reading[None]:
        """Read one call.

        Raises:
            Malformed: This is no call of an offered function, or it goes wrong behind an argument.
        """
        chars = self._chars
        name = yield from chars.until(self._bracket, forbidden=_NOT_IN_NAMES.replace(self._bracket, ""))
        tool = self._out.tool(name)
        if tool is None and name == "print":
            yield from self._printed()
        elif tool is None:
            raise Malformed
        else:
            yield from self._arguments(tool)

    def _printed(self) -> Reading[None]:
        """A call whose result Python would print."""
        yield from self._chars.next()
        yield from self.read()
        yield from self._chars.skip_space()
        yield from self._chars.accept((")",), self._out.settle)

    def _arguments(self, tool: ToolSpec) -> Reading[None]:
        chars, closing = self._chars, _BRACKETS[self._bracket]
        yield from chars.next()
        yield from chars.skip_space()
        if chars.char in ("*", "{"):
            yield from self._unpacked(tool)
            return
        num_read = 0
        try:
            while chars.char != closing:
                key = yield from self._key(tool, num_read)
                if not num_read:
                    self._out.call(tool.name)
                self._out.arguments(f"{', ' if num_read else '{'}{quoted(key)}: ")
                num_read += 1
                yield from self._value(types_of(tool.parameters, key))
                yield from self._next_argument()
        except Malformed:
            if num_read:
                self._out.supply("}")
                self._out.end_call()
            raise
        if not num_read:
            self._out.call(tool.name)
        self._out.arguments("}" if num_read else "{}")
        self._out.end_call()
        yield from chars.next()

    def _key(self, tool: ToolSpec, place: int) -> Reading[str]:
        """An argument's name; of one that is given without, that of the parameter at its place."""
        chars, assign = self._chars, self._style.assign
        if assign == "=" and (chars.char.isdigit() or chars.char in _BEGIN_VALUES):
            properties = tool.parameters.get("properties")
            names = list(properties) if isinstance(properties, Mapping) else []
            if place >= len(names):
                raise Malformed
            return str(names[place])
        if chars.char == '"':
            key = yield from chars.whole_string()
            yield from chars.skip_space()
        else:
            key = (yield from chars.until(assign, forbidden=_NOT_IN_KEYS.replace(assign, ""))).strip()
        if not key or chars.char != assign:
            raise Malformed
        yield from chars.next()
        yield from chars.skip_space()
        return key

    def _value(self, types: frozenset[str]) -> Reading[None]:
        """A string streams; of all else no part is sure before it is read as a whole."""
        chars = self._chars
        if chars.char in _QUOTES or chars.char == self._style.quote[:1]:
            yield from Literals(chars, self._out.arguments, self._style.quote).value(types)
            return
        pieces: list[str] = []
        with chars.recording() as raw:
            try:
                yield from Literals(chars, pieces.append, self._style.quote).value(types)
            except Malformed:
                self._out.arguments(quoted("".join(raw)))
                raise
            except GeneratorExit:
                self._out.arguments("".join(raw))
                raise
        self._out.arguments("".join(pieces))

    def _next_argument(self) -> Reading[None]:
        chars = self._chars
        yield from chars.skip_space()
        if chars.char == ",":
            yield from chars.next()
            yield from chars.skip_space()
        elif chars.char != _BRACKETS[self._bracket]:
            raise Malformed

    def _unpacked(self, tool: ToolSpec) -> Reading[None]:
        """Arguments that stand in one object: `**{…}`, or `{…}`."""
        if self._chars.char == "*":
            yield from self._chars.expect("**")
        yield from JsonCalls(self._chars, self._out).read_arguments(tool.name)
        yield from self._chars.skip_space()
        yield from self._chars.accept((_BRACKETS[self._bracket],), self._out.settle)
