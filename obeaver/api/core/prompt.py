"""From a valid chat request to the token ids that the engine gets."""

from dataclasses import dataclass
from typing import Any

from obeaver.api.core.messages import Message, plain_messages
from obeaver.api.core.tools import offered_tools, tool_choice, tool_specs
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.text.tool_prompt import describe_tools


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads.

    Attributes:
        token_ids: The conversation, up to where the answer begins.
        think_open: The template has opened the model's reasoning already.
    """

    token_ids: list[int]
    think_open: bool


def make_prompt(model: LoadedModel, request: dict[str, Any]) -> Prompt:
    """Render and tokenise. May take a while for a long conversation; touches nothing of the event loop's.

    Raises:
        TemplateFailed: The template rejects the conversation.
    """
    messages, tools = plain_messages(request["messages"]), offered_tools(request)
    if not model.template.knows_tools:
        messages, tools = _with_tools_described(model, request, messages), []
    rendered = model.template.render(messages, tools=tools, **template_variables(request))
    markers = model.facts.think_markers
    think_open = markers is not None and rendered.text.rstrip().endswith(markers[0])
    return Prompt(model.tokenizer.encode_prompt(rendered), think_open)


def _with_tools_described(model: LoadedModel, request: dict[str, Any], messages: list[Message]) -> list[Message]:
    return describe_tools(
        messages,
        tool_specs(request),
        choice=tool_choice(request),
        parallel=request["parallel_tool_calls"],
        dialect=model.facts.tool_dialect,
    )


def template_variables(request: dict[str, Any]) -> dict[str, Any]:
    """What else the template gets to know. `chat_template_kwargs` win."""
    effort = request["reasoning_effort"]
    variables: dict[str, Any] = {} if effort is None else {"reasoning_effort": effort}
    if effort == "none":
        variables["enable_thinking"] = False
    return variables | (request["chat_template_kwargs"] or {})
