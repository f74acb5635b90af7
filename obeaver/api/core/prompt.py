"""From a conversation to the token ids that the engine gets."""

from dataclasses import dataclass
from typing import Any

from obeaver.api.core.context_room import refuse_conversation, within_context
from obeaver.api.core.conversation import Conversation
from obeaver.api.core.limits import check_conversation
from obeaver.api.core.messages import plain_messages
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.text.chat_template import ChatTemplate
from obeaver.text.prompt import RenderedPrompt
from obeaver.text.thinking_switches import NO_THINKING, thinks


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads.

    Attributes:
        token_ids: The conversation, up to where the answer begins.
        think_open: The template has opened the model's reasoning already.
    """

    token_ids: list[int]
    think_open: bool


def make_prompt(model: LoadedModel, conversation: Conversation, *, room: int | None = None) -> Prompt:
    """Render and tokenise. May take a while for a long conversation; touches nothing of the event loop's.

    Args:
        model: Its template and its tokenizer.
        conversation: What was said.
        room: Tokens that are of use; more are refused as soon as that is known. The context if not given.

    Raises:
        BadRequest: The conversation passes a limit of requests.
        ContextLengthExceeded: The prompt has more tokens than `room`, by its size.
        TemplateFailed: The template rejects the conversation.
    """
    check_conversation(model.limits, conversation)
    limit = model.context_length if room is None else room
    refuse_conversation(model.tokenizer, conversation, limit)
    rendered = render(model.template, conversation)
    markers = model.facts.think_markers
    think_open = markers is not None and rendered.text.rstrip().endswith(markers[0].rstrip())
    with within_context(limit, at=conversation.at):
        return Prompt(model.tokenizer.encode_prompt(rendered, limit=limit), think_open)


def render(template: ChatTemplate, conversation: Conversation) -> RenderedPrompt:
    """What a template makes of a conversation.

    Raises:
        TemplateFailed: The template rejects it.
    """
    tools = conversation.tools
    return template.render(
        plain_messages(conversation.messages),
        tools=[tool.definition for tool in tools.offered],
        choice=tools.choice,
        parallel=tools.several(template),
        variables=template_variables(template, conversation),
    )


def may_think(template: ChatTemplate | None, conversation: Conversation, *, think_open: bool) -> bool:
    """Whether a model that reasons may do so.

    Args:
        template: Its template; None for a model that has none.
        conversation: What is to be answered.
        think_open: The prompt has opened the reasoning.
    """
    if template is None:
        return think_open
    reasoning = conversation.reasoning
    is_off = reasoning.effort == NO_THINKING or reasoning.enabled is False
    return think_open or (not is_off and thinks(template_variables(template, conversation)))


def template_variables(template: ChatTemplate, conversation: Conversation) -> dict[str, Any]:
    """What else the template gets to know."""
    reasoning = conversation.reasoning
    switches = template.thinking_variables(reasoning.effort, enabled=reasoning.enabled)
    return switches | dict(conversation.template_variables)
