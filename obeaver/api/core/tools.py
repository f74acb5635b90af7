"""The tools of a request: rules that the schema leaves open, and which of them the model gets to see."""

from typing import Any

from obeaver.errors import BadRequest
from obeaver.text.tool_spec import ToolChoice, ToolSpec

Tool = dict[str, Any]


def check_tools(request: dict[str, Any]) -> None:
    """Check names against each other and against `tool_choice`.

    Raises:
        BadRequest: Names the parameter at fault.
    """
    names: list[str] = []
    for index, tool in enumerate(request["tools"] or []):
        name = tool["function"]["name"]
        if name in names:
            where = f"tools[{index}].function.name"
            raise BadRequest(f"`{where}` stands there twice.", param=where, code="invalid_value")
        names.append(name)
    _check_choice(request["tool_choice"], names)


def _check_choice(choice: str | dict[str, Any] | None, names: list[str]) -> None:
    if choice in (None, "none", "auto"):
        return
    if not names:
        raise BadRequest("This `tool_choice` needs `tools`.", param="tool_choice", code="invalid_value")
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        where = "tool_choice.function.name"
        raise BadRequest(f"`{where}` is not one of `tools`.", param=where, code="invalid_value")


def offered_tools(request: dict[str, Any]) -> list[Tool]:
    """The tools that the model is told of: none where it must not call any, one where that one is named."""
    tools: list[Tool] = request["tools"] or []
    choice = request["tool_choice"]
    if choice == "none":
        return []
    if isinstance(choice, dict):
        return [tool for tool in tools if tool["function"]["name"] == choice["function"]["name"]]
    return tools


def tool_specs(request: dict[str, Any]) -> list[ToolSpec]:
    """The offered tools, as the text layer knows them."""
    functions = [tool["function"] for tool in offered_tools(request)]
    return [
        ToolSpec(function["name"], function.get("description", ""), function.get("parameters", {}))
        for function in functions
    ]


def tool_choice(request: dict[str, Any]) -> ToolChoice:
    """Whether the model may, must or must not call."""
    choice = request["tool_choice"]
    if isinstance(choice, dict):
        return ToolChoice("function", choice["function"]["name"])
    return ToolChoice(choice or "auto")
