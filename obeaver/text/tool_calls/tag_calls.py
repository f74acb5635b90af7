"""Calls written with tags: one around the function, and one around the plain text of each argument.

Values are plain text, or elements (`elements.py`), so the function's schema has to say what they are, where the tag
itself does not: a string streams as it comes, anything else waits for its end and is taken as JSON if it is JSON.
"""

import re
from typing import Final

from obeaver.text.hold_back import Patterns
from obeaver.text.tool_calls.arguments import TagWords
from obeaver.text.tool_calls.chars import CallOutput, Chars, Malformed, Reading
from obeaver.text.tool_calls.elements import elements_as_json
from obeaver.text.tool_calls.json_calls import JsonCalls
from obeaver.text.tool_calls.plain_values import as_json, quoted, schema_of, types_of
from obeaver.text.tool_spec import ToolSpec

_TOLD_STRING: Final = re.compile(r'\b(?:string="true"|type="string")')


class TagCall:
    """Reads one call, from behind the text that begins it on.

    Args:
        chars: The current character is the first of the function's name.
        out: Where the call is reported.
        words: How the family writes its tags.
    """

    def __init__(self, chars: Chars, out: CallOutput, words: TagWords) -> None:
        self._chars = chars
        self._out = out
        self._words = words

    def read(self) -> Reading[None]:
        """Read through the end of the function's tag.

        Raises:
            Malformed: This is no call of an offered function, or the tag goes wrong behind its arguments.
        """
        chars, words = self._chars, self._words
        name = yield from chars.until(words.name_end[0] + "<", forbidden="" if words.name_end[0] == "\n" else "\n")
        tool = self._out.tool(name.strip())
        if tool is None or (chars.char == "<" and not words.bare_name):
            raise Malformed
        if words.name_tail:
            yield from chars.skip_past(words.name_tail)
        yield from chars.skip_space()
        if chars.char == "{":
            yield from self._json(tool)
        else:
            yield from self._parameters(tool)

    def _json(self, tool: ToolSpec) -> Reading[None]:
        end = self._words.function_end
        arguments = JsonCalls(self._chars, self._out, closers=(end,))
        if not (yield from arguments.read_arguments(tool.name)):
            yield from self._chars.skip_space()
            yield from self._chars.accept((end,), self._out.settle)

    def _parameters(self, tool: ToolSpec) -> Reading[None]:
        chars = self._chars
        num_parameters = 0
        while (yield from self._parameter_begins(tool, num_parameters)):
            self._out.supply(", " if num_parameters else "{")
            num_parameters += 1
            yield from self._parameter(tool)
            yield from chars.skip_space()
        self._out.arguments("}" if num_parameters else "{}")
        self._out.end_call()
        yield from chars.next()

    def _parameter_begins(self, tool: ToolSpec, num_parameters: int) -> Reading[bool]:
        """Consume what begins a parameter; where the function ends instead, all of that but its last character."""
        chars, words = self._chars, self._words
        found = yield from chars.find((words.parameter, words.function_end))
        if found and not num_parameters:
            self._out.call(tool.name)
        began_alike = found == words.parameter
        if began_alike:
            self._out.settle()
            yield from chars.next()
            found = yield from self._end_behind(found)
        if not found:
            if num_parameters or began_alike:
                self._out.supply("}" if num_parameters else "{}")
                self._out.end_call()
            raise Malformed
        return found == words.parameter

    def _end_behind(self, parameter: str) -> Reading[str]:
        """What it was that began like a parameter: that, the function's end, or "" for neither."""
        end = self._words.function_end
        if not end.startswith(parameter + self._chars.char):
            return parameter
        rest = end.removeprefix(parameter)
        return end if (yield from self._chars.find((rest,))) else ""

    def _parameter(self, tool: ToolSpec) -> Reading[None]:
        chars, words = self._chars, self._words
        key = (yield from chars.until(words.key_end[0], forbidden="\n")).strip()
        told = yield from chars.skip_past(words.key_tail)
        self._out.arguments(f"{quoted(key)}: ")
        if words.pad and chars.char == words.pad:
            yield from chars.next()
        types = _told_types(told) if words.tells_types else types_of(tool.parameters, key)
        # White space that pads a value belongs to the markup, before the closing tag as behind the opening one.
        end = Patterns({words.pad + words.parameter_end_of(key), words.parameter_end_of(key)})
        if types == {"string"}:
            yield from self._text_value(end)
        elif words.mark:
            text = yield from self._whole_value(end, key)
            self._out.arguments(elements_as_json(text, words.mark, schema_of(tool.parameters, key)))
        else:
            self._out.arguments(as_json((yield from self._whole_value(end, key)), types))
        yield from chars.next()

    def _text_value(self, end: Patterns) -> Reading[None]:
        self._out.arguments('"')
        yield from self._chars.through(end, lambda text: self._out.arguments(quoted(text)[1:-1]))
        self._out.arguments('"')

    def _whole_value(self, end: Patterns, key: str) -> Reading[str]:
        """The text of a value that cannot stream; where it is cut, it goes out as it is."""
        pieces: list[str] = []
        try:
            yield from self._chars.through(end, pieces.append)
            num_open = self._num_begun(key, "".join(pieces))
            while num_open:
                pieces.append(self._words.parameter_end_of(key))
                yield from self._chars.next()
                inner: list[str] = []
                try:
                    yield from self._chars.through(end, inner.append)
                finally:
                    pieces += inner
                num_open += self._num_begun(key, "".join(inner)) - 1
        except GeneratorExit:
            self._out.arguments("".join(pieces))
            raise
        return "".join(pieces)

    def _num_begun(self, key: str, text: str) -> int:
        """How many elements of the argument's own name begin in its value."""
        words = self._words
        return text.count(words.parameter + key + words.key_end) if words.mark else 0


def _told_types(attributes: str) -> frozenset[str]:
    """The types that a parameter's own tag tells: `string="true"`, or `type="string"`."""
    return frozenset({"string"}) if _TOLD_STRING.search(attributes) else frozenset()
