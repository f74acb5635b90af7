"""Requests of Ollama's clients from the body's JSON value."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from obeaver.api.contract.validation import parse
from obeaver.api.core.conversation import (
    AssistantMessage,
    Call,
    Conversation,
    Message,
    SystemMessage,
    ToolResult,
    UserMessage,
    text_parts,
)
from obeaver.api.core.sampling import Sampling
from obeaver.api.core.tools import Tool, Tools
from obeaver.api.ollama.names import plain_name
from obeaver.api.ollama.sampling import parse_form, parse_sampling, parse_thinking
from obeaver.errors import BadRequest


@dataclass(frozen=True, slots=True)
class TextRequest:
    """A request for text that holds to every rule that does not depend on a model.

    Attributes:
        model: The model that it asks for.
        conversation: What to answer; None where the model is only to be loaded.
        sampling: How.
        stream: Whether the answer comes line by line.
        num_ctx: The context that the client counts on; None for any.
        raw: A prompt without a template, instead of the conversation's.
    """

    model: str
    conversation: Conversation | None
    sampling: Sampling
    stream: bool
    num_ctx: int | None
    raw: str | None = None

    @property
    def takes_compiling(self) -> bool:
        """Whether the answer needs a grammar."""
        return self.conversation is not None and self.conversation.takes_compiling


def parse_chat(body: object) -> TextRequest:
    """The body of `/api/chat`.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("ollama_chat", body)
    messages = _messages(request["messages"])
    return _text_request(request, messages, tools=_tools(request["tools"] or []), at="messages")


def parse_generate(body: object) -> TextRequest:
    """The body of `/api/generate`.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("ollama_generate", body)
    if request["raw"] and request["system"]:
        raise BadRequest("`system` needs a template: give it without `raw`.", param="system", code="invalid_value")
    told = (SystemMessage(text_parts(request["system"])),) if request["system"] else ()
    said = (UserMessage(text_parts(request["prompt"])),) if request["prompt"] else ()
    messages = (*told, *said) if said else ()
    raw = request["prompt"] if request["raw"] and request["prompt"] else None
    return _text_request(request, messages, at="prompt", raw=raw)


def _text_request(
    request: Mapping[str, Any],
    messages: tuple[Message, ...],
    *,
    at: str,
    tools: Tools | None = None,
    raw: str | None = None,
) -> TextRequest:
    options = request["options"] or {}
    conversation = Conversation(
        messages=messages,
        tools=tools or Tools(),
        form=parse_form(request["format"]),
        reasoning=parse_thinking(request["think"]),
        at=at,
    )
    return TextRequest(
        plain_name(request["model"]),
        conversation if messages else None,
        parse_sampling(options),
        request["stream"],
        options.get("num_ctx"),
        raw,
    )


def _messages(messages: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """The messages. Calls have ids where clients send them back; else results answer calls in their order."""
    numbers = itertools.count()
    waiting: list[str] = []
    parsed: list[Message] = []
    for message in messages:
        text = message["content"]
        parts = text_parts(text) if text else ()
        match message["role"]:
            case "system":
                parsed.append(SystemMessage(parts))
            case "user":
                parsed.append(UserMessage(parts))
            case "assistant":
                calls = tuple(_call(call, next(numbers)) for call in message.get("tool_calls", ()))
                waiting = [call.id for call in calls]
                parsed.append(AssistantMessage(parts, message.get("thinking", ""), calls))
            case _:
                call_id = message.get("tool_call_id") or (waiting.pop(0) if waiting else f"call_{next(numbers)}")
                parsed.append(ToolResult(call_id, parts, message.get("tool_name") or message.get("name")))
    return tuple(parsed)


def _call(call: Mapping[str, Any], number: int) -> Call:
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return Call(call.get("id") or f"call_{number}", function["name"], arguments)


def _tools(tools: Sequence[Mapping[str, Any]]) -> Tools:
    found: list[Tool] = []
    for index, tool in enumerate(tools):
        function, at = tool["function"], f"tools[{index}].function"
        if any(function["name"] == other.name for other in found):
            raise BadRequest(f"`{at}.name` stands there twice.", param=f"{at}.name", code="invalid_value")
        schema = function.get("parameters")
        found.append(Tool(function["name"], function.get("description"), schema, at=f"{at}.parameters"))
    return Tools(tuple(found))
