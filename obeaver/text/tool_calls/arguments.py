"""The ways in which models write a call's arguments, as data: for writers, for readers and for grammars."""

import json
from dataclasses import dataclass
from typing import Final, Protocol

from obeaver.text.tool_calls.elements import as_elements

IS_STRING: Final = "{is-string}"
"""Stands in a tag where it tells whether its value is a string: `true` or `false`."""

TYPE: Final = "{type}"
"""Stands in a tag where it names the type of its value, as JSON Schema does; all numbers are `number`."""

KEY: Final = "{key}"
"""Stands in a closing tag where it repeats the argument's name."""


class ArgumentStyle(Protocol):
    """How the arguments of a call are written."""

    def write(self, arguments: str) -> str:
        """Arguments that are given as the JSON text of an object."""


@dataclass(frozen=True, slots=True)
class JsonArguments:
    """One JSON object."""

    def write(self, arguments: str) -> str:
        """As it is."""
        return arguments


@dataclass(frozen=True, slots=True)
class StringArguments:
    """A JSON string that holds a JSON object."""

    def write(self, arguments: str) -> str:
        """Quoted once more."""
        return json.dumps(arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class TagWords:
    """A tag and plain text for each argument.

    Attributes:
        function: Begins a call, in front of the function's name.
        name_end: Stands between name and arguments, as calls are written.
        function_end: Ends a call.
        parameter: Begins an argument, in front of its name.
        key_end: Stands between an argument's name and its value; may hold `IS_STRING` or `TYPE`.
        parameter_end: Ends an argument; may hold `KEY`.
        name_tail: With what `name_end` surely ends: attributes may stand before. "" where nothing follows the name.
        key_tail: The same of `key_end`.
        pad: Stands around a value and is no part of it: nothing, or a line break.
        gap: Stands behind an argument.
        bare_name: The function's name may end at the next tag, without `name_end`.
        mark: Begins every tag, where a value may be made of elements; "" where values are plain text or JSON.
    """

    function: str
    name_end: str
    function_end: str
    parameter: str
    key_end: str
    parameter_end: str
    name_tail: str = ">"
    key_tail: str = ">"
    pad: str = ""
    gap: str = "\n"
    bare_name: bool = False
    mark: str = ""

    @property
    def tells_types(self) -> bool:
        """Whether the tag of an argument tells the type of its value."""
        return IS_STRING in self.key_end or TYPE in self.key_end

    def key_end_of(self, kind: str) -> str:
        """`key_end` in front of a value of this type of JSON Schema."""
        named = "number" if kind == "integer" else kind
        return self.key_end.replace(IS_STRING, "true" if kind == "string" else "false").replace(TYPE, named)

    def parameter_end_of(self, key: str) -> str:
        """`parameter_end` of this argument."""
        return self.parameter_end.replace(KEY, key)

    def can_name(self, key: str) -> bool:
        """Whether an argument of this name can be told from what stands around it."""
        return not set(key) & set('<>"\n') and not self.function_end.startswith(self.parameter + key[:1])

    def write(self, arguments: str) -> str:
        """A tag for each argument."""
        return "".join(self._tag(key, value) for key, value in json.loads(arguments).items())

    def _tag(self, key: str, value: object) -> str:
        if self.mark:
            text = as_elements(value, self.mark)
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        begin = self.parameter + key + self.key_end_of(_type_of(value))
        return f"{begin}{self.pad}{text}{self.pad}{self.parameter_end_of(key)}{self.gap}"


def _type_of(value: object) -> str:
    """What JSON Schema calls the type of a value."""
    kinds = ((bool, "boolean"), (int | float, "number"), (str, "string"), (list, "array"), (dict, "object"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


@dataclass(frozen=True, slots=True)
class KeywordArguments:
    """Names and values as in a programming language: `city="Paris", days=3`.

    Attributes:
        assign: Stands between a name and its value.
        separator: Stands between two arguments.
        quote: Stands around strings, which then have no escapes; "" for strings as JSON and Python have them.
        words: How `true`, `false` and `null` are written.
    """

    assign: str
    separator: str = ", "
    quote: str = ""
    words: tuple[str, str, str] = ("true", "false", "null")

    def write(self, arguments: str) -> str:
        """Each argument by its name."""
        return self.separator.join(
            f"{key}{self.assign}{self._value(value)}" for key, value in json.loads(arguments).items()
        )

    def text(self, value: str) -> str:
        """A string."""
        return f"{self.quote}{value}{self.quote}" if self.quote else json.dumps(value, ensure_ascii=False)

    def word(self, value: bool | None) -> str:
        """One of the three words."""
        return self.words[(True, False, None).index(value)]

    def _value(self, value: object) -> str:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bool) or value is None:
            return self.word(value)
        if isinstance(value, list):
            return "[" + self.separator.join(map(self._value, value)) + "]"
        if isinstance(value, dict):
            colon = ": " if self.separator.endswith(" ") else ":"
            items = (f"{self.text(key)}{colon}{self._value(item)}" for key, item in value.items())
            return "{" + self.separator.join(items) + "}"
        return json.dumps(value)
