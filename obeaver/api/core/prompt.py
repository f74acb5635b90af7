"""From a conversation to the token ids that the engine gets."""

from dataclasses import dataclass
from typing import Any

from obeaver.api.core.conversation import Conversation
from obeaver.api.core.messages import PlainMessage, plain_messages
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


def make_prompt(model: LoadedModel, conversation: Conversation) -> Prompt:
    """Render and tokenise. May take a while for a long conversation; touches nothing of the event loop's.

    Raises:
        TemplateFailed: The template rejects the conversation.
    """
    messages = plain_messages(conversation.messages)
    tools = [tool.definition for tool in conversation.tools.offered]
    if not model.template.knows_tools:
        messages, tools = _with_tools_described(model, conversation, messages), []
    rendered = model.template.render(messages, tools=tools, **template_variables(conversation))
    markers = model.facts.think_markers
    think_open = markers is not None and rendered.text.rstrip().endswith(markers[0])
    return Prompt(model.tokenizer.encode_prompt(rendered), think_open)


def _with_tools_described(
    model: LoadedModel, conversation: Conversation, messages: list[PlainMessage]
) -> list[PlainMessage]:
    return describe_tools(
        messages,
        conversation.tools.specs,
        choice=conversation.tools.choice,
        parallel=conversation.tools.parallel,
        dialect=model.facts.tool_dialect,
    )


def template_variables(conversation: Conversation) -> dict[str, Any]:
    """What else the template gets to know."""
    reasoning = conversation.reasoning
    variables: dict[str, Any] = {} if reasoning.effort is None else {"reasoning_effort": reasoning.effort}
    enabled = False if reasoning.effort == "none" else reasoning.enabled
    if enabled is not None:
        variables["enable_thinking"] = enabled
    return variables | dict(conversation.template_variables)
