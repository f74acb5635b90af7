"""The tools of a Messages request."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from obeaver.api.core.tools import Tool, Tools
from obeaver.errors import BadRequest
from obeaver.text.tool_spec import ToolChoice

CUSTOM: Final = "custom"
"""The type of tools that the client runs."""


def parse_tools(request: Mapping[str, Any]) -> Tools:
    """What the answer may call.

    Raises:
        BadRequest: A tool is none of the client's, two have one name, or `tool_choice` names none of them.
    """
    tools: list[Tool] = []
    for index, tool in enumerate(request["tools"] or []):
        at = f"tools[{index}]"
        if tool["type"] != CUSTOM:
            message = f"`{at}.type` must be `custom`: this server runs no tools of its own."
            raise BadRequest(message, param=f"{at}.type", code="unsupported_value")
        if any(tool["name"] == other.name for other in tools):
            raise BadRequest(f"`{at}.name` stands there twice.", param=f"{at}.name", code="invalid_value")
        tools.append(_tool(tool, at))
    choice = request["tool_choice"] or {"type": "auto", "disable_parallel_tool_use": False}
    return Tools.of(tools, _choice(choice, tools), parallel=not choice["disable_parallel_tool_use"])


def _tool(tool: Mapping[str, Any], at: str) -> Tool:
    schema = tool.get("input_schema")
    return Tool(tool["name"], tool.get("description"), schema, strict=tool["strict"], at=f"{at}.input_schema")


def _choice(choice: Mapping[str, Any], tools: Sequence[Tool]) -> ToolChoice:
    kind = choice["type"]
    if kind in ("auto", "none"):
        return ToolChoice(kind)
    if not tools:
        raise BadRequest("This `tool_choice` needs `tools`.", param="tool_choice", code="invalid_value")
    if kind == "any":
        return ToolChoice("required")
    name = choice.get("name")
    if name not in [tool.name for tool in tools]:
        param = "tool_choice.name"
        code = "missing_required_parameter" if name is None else "invalid_value"
        raise BadRequest(f"`{param}` must be the name of one of `tools`.", param=param, code=code)
    return ToolChoice("function", name)
