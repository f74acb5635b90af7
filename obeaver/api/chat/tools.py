"""The tools of a chat request: rules that the schema leaves open, and the core's tools made of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from obeaver.api.core.tools import Tool, Tools
from obeaver.errors import BadRequest
from obeaver.text.tool_spec import ToolChoice


def parse_tools(request: dict[str, Any]) -> Tools:
    """What the answer may call.

    Raises:
        BadRequest: Two tools have one name, or `tool_choice` names none of them.
    """
    tools = [_tool(tool["function"], f"tools[{index}].function") for index, tool in enumerate(request["tools"] or [])]
    names: list[str] = []
    for index, tool in enumerate(tools):
        if tool.name in names:
            where = f"tools[{index}].function.name"
            raise BadRequest(f"`{where}` stands there twice.", param=where, code="invalid_value")
        names.append(tool.name)
    choice, offered = _choice(request["tool_choice"], tools)
    return Tools.of(offered, choice, parallel=request["parallel_tool_calls"])


def _tool(function: dict[str, Any], at: str) -> Tool:
    return Tool(
        function["name"],
        function.get("description"),
        function.get("parameters"),
        strict=function.get("strict", False),
        at=f"{at}.parameters",
    )


def _choice(choice: Any, tools: Sequence[Tool]) -> tuple[ToolChoice, Sequence[Tool]]:
    """What is to be called, and what may be."""
    if choice in (None, "none", "auto"):
        return ToolChoice(choice or "auto"), tools
    kind = None if isinstance(choice, str) else choice["type"]
    if kind is not None and choice.get(kind) is None:
        where = f"tool_choice.{kind}"
        raise BadRequest(f"`{where}` is required.", param=where, code="missing_required_parameter")
    if not tools:
        raise BadRequest("This `tool_choice` needs `tools`.", param="tool_choice", code="invalid_value")
    if kind is None:
        return ToolChoice("required"), tools
    if kind == "function":
        return ToolChoice("function", _name(choice, tools, "tool_choice")), tools
    allowed, at = choice["allowed_tools"], "tool_choice.allowed_tools.tools"
    names = {_name(each, tools, f"{at}[{index}]") for index, each in enumerate(allowed["tools"])}
    return ToolChoice(allowed["mode"]), [tool for tool in tools if tool.name in names]


def _name(chosen: Mapping[str, Any], tools: Sequence[Tool], at: str) -> str:
    name: str = chosen["function"]["name"]
    if not any(tool.name == name for tool in tools):
        where = f"{at}.function.name"
        raise BadRequest(f"`{where}` is not one of `tools`.", param=where, code="invalid_value")
    return name
