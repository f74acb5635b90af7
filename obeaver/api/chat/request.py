"""A chat request from the body's JSON value: schema first, then what binds parameters to each other, then values."""

from dataclasses import dataclass
from typing import Any

from obeaver.api.chat.form import parse_form
from obeaver.api.chat.messages import parse_messages
from obeaver.api.chat.tools import parse_tools
from obeaver.api.contract.validation import parse
from obeaver.api.core.conversation import Conversation, Reasoning
from obeaver.api.core.sampling import Sampling, sampling_of
from obeaver.api.openai.generation import check_generation, includes_usage
from obeaver.errors import BadRequest

OURS = frozenset({"messages", "tools", "add_generation_prompt"})
"""Variables of chat templates that a request gives by other means."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request that holds to every rule that does not depend on a model.

    Attributes:
        model: The model that it asks for; "" for none.
        conversation: What to answer.
        sampling: How.
        stream: Whether the answer comes as a stream.
        include_usage: Whether the stream ends with the usage.
        timings: Whether the answer tells what it took.
    """

    model: str
    conversation: Conversation
    sampling: Sampling
    stream: bool
    include_usage: bool
    timings: bool

    @property
    def takes_compiling(self) -> bool:
        """Whether the answer needs a grammar."""
        return self.conversation.takes_compiling


def parse_chat_request(body: object) -> ChatRequest:
    """The request.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("chat_completion", body)
    messages = parse_messages(request["messages"])
    sampling = _sampling(request)
    tools = parse_tools(request)
    conversation = Conversation(
        messages=messages,
        tools=tools,
        form=parse_form(request, tools),
        reasoning=Reasoning(request["reasoning_effort"]),
        template_variables=_template_variables(request["chat_template_kwargs"] or {}),
    )
    stream, timings = request["stream"], request["timings_per_token"]
    return ChatRequest(request["model"], conversation, sampling, stream, includes_usage(request), timings)


def _sampling(request: dict[str, Any]) -> Sampling:
    if request["top_logprobs"] and not request["logprobs"]:
        raise BadRequest("`top_logprobs` needs `logprobs` to be true.", param="top_logprobs", code="invalid_value")
    limit = request["max_completion_tokens"] or request["max_tokens"]
    check_generation(request, limit)
    num_logprobs = (request["top_logprobs"] or 0) if request["logprobs"] else None
    return sampling_of(request, max_tokens=limit, num_logprobs=num_logprobs)


def _template_variables(given: dict[str, Any]) -> dict[str, Any]:
    taken = OURS.intersection(given)
    if taken:
        raise BadRequest(
            f"`chat_template_kwargs` must not have {', '.join(f'`{name}`' for name in sorted(taken))}.",
            param="chat_template_kwargs",
            code="invalid_value",
        )
    return given
