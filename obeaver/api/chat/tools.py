"""The tools of a chat request: rules that the schema leaves open, and the core's tools made of them."""

from collections.abc import Mapping
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
    choice, allowed = _choice(request["tool_choice"], names)
    offered = [tool for tool in tools if tool.name in allowed]
    return Tools.of(offered, choice, parallel=request["parallel_tool_calls"])


def _tool(function: dict[str, Any], at: str) -> Tool:
    return Tool(
        function["name"],
        function.get("description"),
        function.get("parameters"),
        strict=function.get("strict", False),
        at=f"{at}.parameters",
    )


def _choice(choice: Any, names: list[str]) -> tuple[ToolChoice, list[str]]:
    """What is called, and the names of what may be."""
    if choice in (None, "none", "auto"):
        return ToolChoice(choice or "auto"), names
    kind = choice["type"] if isinstance(choice, Mapping) else None
    if kind is not None and choice.get(kind) is None:
        where = f"tool_choice.{kind}"
        raise BadRequest(f"`{where}` is required.", param=where, code="missing_required_parameter")
    if not names:
        raise BadRequest("This `tool_choice` needs `tools`.", param="tool_choice", code="invalid_value")
    if kind is None:
        return ToolChoice("required"), names
    if kind == "allowed_tools":
        given = choice[kind]
        at = "tool_choice.allowed_tools.tools"
        allowed = [_known(each, names, f"{at}[{index}]") for index, each in enumerate(given["tools"])]
        return ToolChoice(given["mode"]), allowed
    return ToolChoice("function", _known(choice, names, "tool_choice")), names


def _known(named: Mapping[str, Any], names: list[str], at: str) -> str:
    name: str = named["function"]["name"]
    if name not in names:
        where = f"{at}.function.name"
        raise BadRequest(f"`{where}` is not one of `tools`.", param=where, code="invalid_value")
    return name
