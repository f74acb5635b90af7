"""A Messages request from the body's JSON value: schema first, then what binds parameters to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from obeaver.api.anthropic.tools import parse_tools
from obeaver.api.anthropic.turns import parse_turns
from obeaver.api.contract.validation import parse
from obeaver.api.core.answer_form import JsonForm
from obeaver.api.core.conversation import Conversation, Reasoning
from obeaver.api.core.sampling import Sampling, sampling_of
from obeaver.errors import BadRequest


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """A request that holds to every rule that does not depend on a model.

    Attributes:
        model: The model that it asks for; "" for none.
        conversation: What to answer.
        sampling: How.
        stream: Whether the answer comes as a stream.
    """

    model: str
    conversation: Conversation
    sampling: Sampling
    stream: bool

    @property
    def takes_compiling(self) -> bool:
        """Whether the answer needs a grammar."""
        return self.conversation.takes_compiling


@dataclass(frozen=True, slots=True)
class CountRequest:
    """A conversation whose tokens are to be counted."""

    model: str
    conversation: Conversation
    takes_compiling: bool = False


def parse_messages_request(body: object) -> MessagesRequest:
    """The request of a message.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("anthropic_message", body)
    config = request["output_config"] or {}
    conversation = _conversation(request, form=_form(request, config), effort=_effort(config))
    _check_budget(request)
    given = {name: request[name] for name in ("temperature", "top_p", "top_k", "seed")}
    sampling = sampling_of({**given, "stop": request["stop_sequences"]}, max_tokens=request["max_tokens"])
    return MessagesRequest(request["model"], conversation, sampling, request["stream"])


def parse_count_request(body: object) -> CountRequest:
    """The request of a count.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("anthropic_count", body)
    return CountRequest(request["model"], _conversation(request))


def _conversation(
    request: Mapping[str, Any], *, form: JsonForm | None = None, effort: str | None = None
) -> Conversation:
    thinking = request["thinking"]
    return Conversation(
        messages=parse_turns(request["system"], request["messages"]),
        tools=parse_tools(request),
        form=form,
        reasoning=Reasoning(effort, None if thinking is None else thinking["type"] != "disabled"),
    )


def _form(request: Mapping[str, Any], config: Mapping[str, Any]) -> JsonForm | None:
    at = "output_config.format" if "format" in config else "output_format"
    form = config.get("format") or request["output_format"]
    return None if form is None else JsonForm(form["schema"], at=at, schema_at=f"{at}.schema")


def _effort(config: Mapping[str, Any]) -> str | None:
    effort: str | None = config.get("effort")
    return "xhigh" if effort == "max" else effort


def _check_budget(request: Mapping[str, Any]) -> None:
    budget = (request["thinking"] or {}).get("budget_tokens")
    if budget is not None and budget >= request["max_tokens"]:
        param = "thinking.budget_tokens"
        raise BadRequest(f"`{param}` must be below `max_tokens`.", param=param, code="invalid_value")
