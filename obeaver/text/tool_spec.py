"""A function that a request offers to the model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A function's name, what it is for, and the JSON Schema of its arguments."""

    name: str
    description: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model may call, must call, or must call one function.

    Attributes:
        mode: OpenAI's word; `function` if one is named.
        name: The named function.
    """

    mode: Literal["none", "auto", "required", "function"] = "auto"
    name: str | None = None
