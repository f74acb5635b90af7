"""The forms that an answer can be held to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class JsonForm:
    """JSON that holds to a schema.

    Attributes:
        schema: A JSON Schema; `{"type": "object"}` where any object will do.
        at: Where the form stood in the request.
        schema_at: Where its schema stood there.
    """

    schema: Mapping[str, Any]
    at: str
    schema_at: str


@dataclass(frozen=True, slots=True)
class GrammarForm:
    """A text of this grammar, in llguidance's dialect of Lark or in llama.cpp's GBNF."""

    text: str
    at: str


@dataclass(frozen=True, slots=True)
class RegexForm:
    """A text that this regular expression matches as a whole."""

    pattern: str
    at: str


@dataclass(frozen=True, slots=True)
class ChoiceForm:
    """One of these texts."""

    texts: tuple[str, ...]
    at: str


AnswerForm: TypeAlias = JsonForm | GrammarForm | RegexForm | ChoiceForm
