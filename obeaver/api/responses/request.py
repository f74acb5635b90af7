"""A Responses request from the body's JSON value: schema first, then what binds parameters to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.core.answer_form import JsonForm
from obeaver.api.core.conversation import Conversation, Reasoning
from obeaver.api.core.sampling import Sampling, sampling_of
from obeaver.api.responses.items import parse_items
from obeaver.api.responses.tools import parse_tools
from obeaver.errors import BadRequest

SAID_BACK: Final = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "parallel_tool_calls",
    "prompt_cache_key",
    "safety_identifier",
    "temperature",
    "top_p",
    "truncation",
    "user",
)
"""Parameters that a response repeats as they are."""


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """A request that holds to every rule that does not depend on a model.

    Attributes:
        model: The model that it asks for; "" for none.
        conversation: What to answer.
        sampling: How.
        stream: Whether the answer comes as a stream.
        echo: What the response says of its request.
    """

    model: str
    conversation: Conversation
    sampling: Sampling
    stream: bool
    echo: wire.Object

    @property
    def takes_compiling(self) -> bool:
        """Whether the answer needs a grammar."""
        return self.conversation.takes_compiling


def parse_responses_request(body: object) -> ResponsesRequest:
    """The request.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("response_request", body)
    conversation = Conversation(
        messages=parse_items(request["instructions"], request["input"]),
        tools=parse_tools(request),
        form=_form((request["text"] or {}).get("format") or {"type": "text"}),
        reasoning=Reasoning(_effort(request["reasoning"] or {})),
        at="input",
    )
    sampling = sampling_of(request, max_tokens=request["max_output_tokens"])
    return ResponsesRequest(request["model"], conversation, sampling, request["stream"], _echo(request))


def _form(given: Mapping[str, Any]) -> JsonForm | None:
    at = "text.format"
    if given["type"] == "json_schema":
        return JsonForm(given["schema"], at=at, schema_at=f"{at}.schema")
    if "schema" in given:
        message = f"`{at}.schema` needs the type `json_schema`."
        raise BadRequest(message, param=f"{at}.schema", code="invalid_value")
    return JsonForm({"type": "object"}, at=at, schema_at=at) if given["type"] == "json_object" else None


def _effort(reasoning: Mapping[str, Any]) -> str | None:
    effort: str | None = reasoning.get("effort")
    return "xhigh" if effort == "max" else effort


def _echo(request: Mapping[str, Any]) -> wire.Object:
    text, reasoning = request["text"] or {}, request["reasoning"] or {}
    return {
        **{name: request[name] for name in SAID_BACK},
        "background": False,
        "metadata": request["metadata"] or {},
        "previous_response_id": None,
        "reasoning": {name: reasoning.get(name) for name in ("effort", "summary")},
        "service_tier": "default",
        "store": False,
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": "medium"},
        "tool_choice": request["tool_choice"] or "auto",
        "tools": [{"description": None, "parameters": None} | tool for tool in request["tools"] or ()],
        "top_logprobs": 0,
    }
