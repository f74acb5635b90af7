"""Anthropic's Messages dialect: what it answers, and by which handlers."""

from collections.abc import Mapping

from obeaver.api.anthropic.endpoint import MessagesApi
from obeaver.api.anthropic.error_shape import AnthropicErrors
from obeaver.api.contract.operations import BODY_ERRORS, CHOICE_ERRORS, ENGINE_ERRORS, Operation
from obeaver.api.core.dialect import Dialect
from obeaver.api.models.state import ApiState
from obeaver.errors import ContextLengthExceeded, GrammarTooComplex, ModelNotLoaded, NoChatTemplate, TemplateFailed
from obeaver.web.router import Handler


def _handlers(state: ApiState) -> Mapping[str, Handler]:
    messages = MessagesApi(state)
    return {"createMessage": messages.create, "countMessageTokens": messages.count_tokens}


ANTHROPIC = Dialect(
    operations=(
        Operation(
            id="createMessage",
            method="POST",
            path="/v1/messages",
            summary="Answer a conversation as Anthropic's API does, whole or as a stream",
            request="anthropic_message",
            response="AnthropicMessage",
            error="AnthropicError",
            event="AnthropicEvent",
            errors=(
                *BODY_ERRORS,
                ContextLengthExceeded,
                GrammarTooComplex,
                NoChatTemplate,
                TemplateFailed,
                *CHOICE_ERRORS,
                *ENGINE_ERRORS,
            ),
            example='{"max_tokens": 64, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}',
        ),
        Operation(
            id="countMessageTokens",
            method="POST",
            path="/v1/messages/count_tokens",
            summary="Tokens of the prompt that a conversation makes",
            request="anthropic_count",
            response="AnthropicTokenCount",
            error="AnthropicError",
            errors=(*BODY_ERRORS, NoChatTemplate, TemplateFailed, *CHOICE_ERRORS, ModelNotLoaded),
            example='{"messages": [{"role": "user", "content": "Why is the sky blue?"}]}',
        ),
    ),
    handlers=_handlers,
    errors=AnthropicErrors(),
)
