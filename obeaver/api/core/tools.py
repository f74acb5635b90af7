"""The tools of a conversation: which of them the model gets to see, and whether it may call them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from obeaver.text.chat_template import ChatTemplate
from obeaver.text.needs.need import Need
from obeaver.text.tool_spec import ToolChoice, ToolSpec


@dataclass(frozen=True, slots=True)
class Tool:
    """A function.

    Attributes:
        name: Unique among its request's.
        description: What it is for.
        parameters: JSON Schema of its arguments; None for a function of none.
        strict: What of the schema cannot be enforced must be refused.
        at: Where the parameters stood in the request.
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool = False
    at: str = "tools"

    @property
    def spec(self) -> ToolSpec:
        """As the text layer knows it."""
        return ToolSpec(self.name, self.description or "", self.parameters or {})

    @property
    def definition(self) -> dict[str, Any]:
        """As chat templates print it: in Hugging Face's order, and only what a model has to know."""
        given = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": {name: value for name, value in given.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Tools:
    """What an answer may call.

    Attributes:
        offered: The functions that the model is told of, and can call.
        choice: Whether it may, must, or must call one function.
        parallel: Whether one answer may hold several calls.
    """

    offered: tuple[Tool, ...] = ()
    choice: ToolChoice = field(default_factory=ToolChoice)
    parallel: bool = True

    @classmethod
    def of(cls, tools: Sequence[Tool], choice: ToolChoice, *, parallel: bool = True) -> "Tools":
        """Of these tools those that the choice leaves: none where none may be called, one where that one is named."""
        if choice.mode == "none":
            return cls((), choice, parallel)
        if choice.mode == "function":
            return cls(tuple(tool for tool in tools if tool.name == choice.name), choice, parallel)
        return cls(tuple(tools), choice, parallel)

    def several(self, template: ChatTemplate | None) -> bool:
        """Whether an answer may hold several calls: not where the template could not tell the model of it later."""
        return self.parallel and (template is None or Need.ONE_CALL not in template.needs)

    @property
    def specs(self) -> list[ToolSpec]:
        """The offered ones, as the text layer knows them."""
        return [tool.spec for tool in self.offered]
