"""Values that are written as elements: a tag for each entry of an object, and for each item of a list.

A mark stands in front of every tag, so that no text can be taken for one: with the mark `%`, `[1, {"a": "b"}]` is
`%<item>1%</item>%<item>%<a>b%</a>%</item>`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from obeaver.text.tool_calls.plain_values import as_json, quoted, schema_of, types_in

_ITEM: Final = "item"


def as_elements(value: object, mark: str) -> str:
    """How a value is written between the tags of its name."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value:
        return "".join(f"{mark}<{key}>{as_elements(item, mark)}{mark}</{key}>" for key, item in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{mark}<{_ITEM}>{as_elements(item, mark)}{mark}</{_ITEM}>" for item in value)
    return json.dumps(value, ensure_ascii=False)


def elements_as_json(text: str, mark: str, schema: object) -> str:
    """The JSON text of what stands between the tags of a value's name; a string, where the tags do not fit together.

    Args:
        text: Plain text, or elements.
        mark: Stands in front of every tag.
        schema: What the value is, as far as it is in plain sight.
    """
    head, *tags = text.split(mark)
    open_elements = [_Element("", schema, [head])]
    for tag in tags:
        name, bracket, rest = tag.partition(">")
        if not bracket or not name.startswith("<"):
            return quoted(text)
        parent = open_elements[-1]
        if not name.startswith("</"):
            open_elements.append(_Element(name[1:], _schema_within(parent.schema, name[1:]), [rest]))
        elif len(open_elements) > 1 and name[2:] == parent.name:
            del open_elements[-1]
            open_elements[-1].children.append((parent.name, parent.json()))
            open_elements[-1].text.append(rest)
        else:
            return quoted(text)
    return open_elements[0].json() if len(open_elements) == 1 else quoted(text)


@dataclass(slots=True)
class _Element:
    """What stands between two tags.

    Attributes:
        name: Of the tags.
        schema: Of the value.
        text: Pieces of text, between which the children stand.
        children: Names and JSON texts.
    """

    name: str
    schema: object
    text: list[str]
    children: list[tuple[str, str]] = field(default_factory=list)

    def json(self) -> str:
        types = types_in(self.schema)
        if not self.children:
            return _EMPTY.get(types, '""') if self.text == [""] else as_json("".join(self.text), types)
        if "array" in types or ("object" not in types and all(name == _ITEM for name, _ in self.children)):
            return "[" + ", ".join(value for _, value in self.children) + "]"
        return "{" + ", ".join(f"{quoted(name)}: {value}" for name, value in self.children) + "}"


_EMPTY: Final[Mapping[frozenset[str], str]] = {frozenset({"array"}): "[]", frozenset({"object"}): "{}"}


def _schema_within(parent: object, name: str) -> object:
    """The schema of an entry or an item."""
    if not isinstance(parent, Mapping):
        return None
    return parent.get("items") if "array" in types_in(parent) else schema_of(parent, name)
