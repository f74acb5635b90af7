"""Calls written with tags: `<function=name>`, then `<parameter=key>` and a value for each argument, or one JSON object.

Values are plain text, so the function's schema has to say what they are: a string streams as it comes, anything else
waits for its end and is taken as JSON if it is JSON.
"""

import json
from collections.abc import Mapping

from obeaver.text.hold_back import Patterns
from obeaver.text.tool_calls.chars import CallOutput, Chars, Malformed, Reading
from obeaver.text.tool_calls.json_calls import JsonCalls
from obeaver.text.tool_spec import ToolSpec

_PARAMETER, _END_FUNCTION = "<parameter=", "</function>"
# One line break in front of the closing tag belongs to the markup, like the one behind the opening tag.
_END_PARAMETER = Patterns(["\n</parameter>", "</parameter>"])
_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null"}


class TagCall:
    """Reads one function tag, from behind `<function=` on."""

    def __init__(self, chars: Chars, out: CallOutput) -> None:
        self._chars = chars
        self._out = out

    def read(self) -> Reading[None]:
        """Read through `</function>`.

        Raises:
            Malformed: This is no call of an offered function, or the tag goes wrong behind its arguments.
        """
        chars = self._chars
        name = yield from chars.until(">", forbidden="<\n")
        tool = self._out.tool(name.strip())
        if tool is None:
            raise Malformed
        yield from chars.next()
        yield from chars.skip_space()
        if chars.char == "{":
            yield from self._json(tool)
        else:
            yield from self._parameters(tool)

    def _json(self, tool: ToolSpec) -> Reading[None]:
        arguments = JsonCalls(self._chars, self._out, closers=(_END_FUNCTION,))
        if not (yield from arguments.read_arguments(tool.name)):
            yield from self._chars.skip_space()
            yield from self._chars.accept((_END_FUNCTION,), self._out.settle)

    def _parameters(self, tool: ToolSpec) -> Reading[None]:
        chars = self._chars
        num_parameters = 0
        while (yield from self._next_tag(num_parameters)) == _PARAMETER:
            if not num_parameters:
                self._out.call(tool.name)
            self._out.arguments(", " if num_parameters else "{")
            num_parameters += 1
            yield from self._parameter(tool)
            yield from chars.skip_space()
        if not num_parameters:
            self._out.call(tool.name)
        self._out.arguments("}" if num_parameters else "{}")
        self._out.end_call()
        yield from chars.next()

    def _next_tag(self, num_parameters: int) -> Reading[str]:
        try:
            return (yield from self._tag())
        except Malformed:
            if num_parameters:
                self._out.supply("}")
                self._out.end_call()
            raise

    def _tag(self) -> Reading[str]:
        """Read `<parameter=`, or up to the last character of `</function>`."""
        yield from self._chars.expect("<")
        if self._chars.char == "p":
            yield from self._chars.expect(_PARAMETER[1:])
            return _PARAMETER
        yield from self._chars.expect(_END_FUNCTION[1:-1])
        if self._chars.char != ">":
            raise Malformed
        return _END_FUNCTION

    def _parameter(self, tool: ToolSpec) -> Reading[None]:
        chars = self._chars
        key = (yield from chars.until(">", forbidden="\n")).strip()
        self._out.arguments(f"{json.dumps(key, ensure_ascii=False)}: ")
        yield from chars.next()
        if chars.char == "\n":
            yield from chars.next()
        types = _types(_property(tool.parameters, key))
        if types == {"string"}:
            yield from self._text_value()
        else:
            yield from self._other_value(types)
        yield from chars.next()

    def _text_value(self) -> Reading[None]:
        self._out.arguments('"')
        yield from self._chars.through(_END_PARAMETER, lambda text: self._out.arguments(_quoted(text)[1:-1]))
        self._out.arguments('"')

    def _other_value(self, types: frozenset[str]) -> Reading[None]:
        pieces: list[str] = []
        try:
            yield from self._chars.through(_END_PARAMETER, pieces.append)
        except GeneratorExit:
            self._out.arguments("".join(pieces))
            raise
        self._out.arguments(_as_json("".join(pieces), types))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _property(schema: Mapping[str, object], key: str) -> object:
    properties = schema.get("properties")
    return properties.get(key) if isinstance(properties, Mapping) else None


def _types(schema: object) -> frozenset[str]:
    """The JSON types that a schema names, as far as they stand in plain sight."""
    if not isinstance(schema, Mapping):
        return frozenset()
    named = schema.get("type")
    types = frozenset(name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str))
    choices = [choice for key in ("anyOf", "oneOf") for choice in _items(schema.get(key))]
    return types.union(*(_types(choice) for choice in choices))


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _as_json(text: str, types: frozenset[str]) -> str:
    """The JSON text of a value that is of one of these types; of any, if there are none."""
    value = _PYTHON_WORDS.get(text.strip(), text.strip())
    if "string" in types and not (value == "null" and "null" in types):
        return _quoted(text)
    try:
        json.loads(value, parse_constant=_reject)
    except ValueError:
        return _quoted(text)
    return value


def _reject(constant: str) -> object:
    raise ValueError(constant)
