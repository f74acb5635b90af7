"""The tools of a Responses request."""

from collections.abc import Mapping, Sequence
from typing import Any

from obeaver.api.core.tools import Tool, Tools
from obeaver.errors import BadRequest
from obeaver.text.tool_spec import ToolChoice


def parse_tools(request: Mapping[str, Any]) -> Tools:
    """What the answer may call.

    Raises:
        BadRequest: Two tools have one name, or `tool_choice` names one that is not there.
    """
    tools: list[Tool] = []
    for index, tool in enumerate(request["tools"] or []):
        where = f"tools[{index}].name"
        if any(tool["name"] == other.name for other in tools):
            raise BadRequest(f"`{where}` stands there twice.", param=where, code="invalid_value")
        tools.append(_tool(tool, f"tools[{index}].parameters"))
    return _chosen(request["tool_choice"] or "auto", tools, parallel=request["parallel_tool_calls"])


def _tool(tool: Mapping[str, Any], at: str) -> Tool:
    return Tool(tool["name"], tool.get("description"), tool.get("parameters"), strict=tool["strict"], at=at)


def _chosen(choice: str | Mapping[str, Any], tools: Sequence[Tool], *, parallel: bool) -> Tools:
    if choice == "auto":
        return Tools.of(tools, ToolChoice(), parallel=parallel)
    if choice == "none":
        return Tools.of(tools, ToolChoice("none"), parallel=parallel)
    if not tools:
        raise BadRequest("This `tool_choice` needs `tools`.", param="tool_choice", code="invalid_value")
    if isinstance(choice, str):
        return Tools.of(tools, ToolChoice("required"), parallel=parallel)
    if choice["type"] == "allowed_tools":
        return Tools.of(_allowed(choice, tools), ToolChoice(choice["mode"]), parallel=parallel)
    _check_name(choice, tools, "tool_choice.name")
    return Tools.of(tools, ToolChoice("function", choice["name"]), parallel=parallel)


def _allowed(choice: Mapping[str, Any], tools: Sequence[Tool]) -> list[Tool]:
    for index, named in enumerate(choice.get("tools") or ()):
        _check_name(named, tools, f"tool_choice.tools[{index}].name")
    names = [named["name"] for named in choice.get("tools") or ()]
    if not names:
        param = "tool_choice.tools"
        raise BadRequest(f"`{param}` must name one of `tools`.", param=param, code="invalid_value")
    return [tool for tool in tools if tool.name in names]


def _check_name(named: Mapping[str, Any], tools: Sequence[Tool], param: str) -> None:
    if named.get("name") not in [tool.name for tool in tools]:
        code = "invalid_value" if "name" in named else "missing_required_parameter"
        raise BadRequest(f"`{param}` must be the name of one of `tools`.", param=param, code=code)
