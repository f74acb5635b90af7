"""A Responses request from the body's JSON value: schema first, then what binds parameters to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.core.answer_form import JsonForm
from obeaver.api.core.conversation import Conversation, Reasoning
from obeaver.api.core.sampling import Sampling, sampling_of
from obeaver.api.core.tools import Tools
from obeaver.api.responses.items import parse_items
from obeaver.api.responses.messages import messages_of
from obeaver.api.responses.tools import parse_tools
from obeaver.archive.stored_response import StoredItem
from obeaver.errors import BadRequest

SAID_BACK: Final = (
    "background",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "parallel_tool_calls",
    "previous_response_id",
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
    """A request that holds to every rule that does not depend on a model, or on what is stored.

    Attributes:
        model: The model that it asks for; "" for none.
        instructions: What the model is told before all items; of this turn alone.
        items: What was said: `input`, and once that was looked up, the conversation that it goes on with.
        tools: What the answer may call.
        form: What the answer must hold to.
        reasoning: How much to think.
        sampling: How to answer.
        stream: Whether the answer comes as a stream.
        store: Whether the response is to be stored.
        background: Whether it is made while nobody waits for it.
        truncates: Whether the oldest items may be dropped where all of them are too long.
        previous_response_id: The stored response that it goes on with; None for none.
        echo: What the response says of its request.
    """

    model: str
    instructions: str | None
    items: tuple[StoredItem, ...]
    tools: Tools
    form: JsonForm | None
    reasoning: Reasoning
    sampling: Sampling
    stream: bool
    store: bool
    background: bool
    truncates: bool
    previous_response_id: str | None
    echo: wire.Object

    @property
    def conversation(self) -> Conversation:
        """What to answer."""
        return Conversation(
            messages=messages_of(self.instructions, [item.document for item in self.items]),
            tools=self.tools,
            form=self.form,
            reasoning=self.reasoning,
            at="input",
        )

    @property
    def takes_compiling(self) -> bool:
        """Whether the answer needs a grammar."""
        return self.form is not None or bool(self.tools.offered)


def parse_responses_request(body: object) -> ResponsesRequest:
    """The request.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("response_request", body)
    items = parse_items(request["input"])
    return ResponsesRequest(
        model=request["model"],
        instructions=request["instructions"],
        items=tuple(StoredItem(item.get("id", ""), item) for item in items),
        tools=parse_tools(request),
        form=_form((request["text"] or {}).get("format") or {"type": "text"}),
        reasoning=Reasoning(_effort(request["reasoning"] or {})),
        sampling=sampling_of(request, max_tokens=request["max_output_tokens"]),
        stream=request["stream"],
        store=request["store"],
        background=request["background"],
        truncates=request["truncation"] == "auto",
        previous_response_id=request["previous_response_id"],
        echo=_echo(request),
    )


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
        "metadata": request["metadata"] or {},
        "reasoning": {name: reasoning.get(name) for name in ("effort", "summary")},
        "service_tier": "default",
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": "medium"},
        "tool_choice": request["tool_choice"] or "auto",
        "tools": [{"description": None, "parameters": None} | tool for tool in request["tools"] or ()],
        "top_logprobs": 0,
    }
