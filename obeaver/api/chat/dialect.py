"""OpenAI's chat dialect: what it answers, and by which handlers."""

from collections.abc import Mapping

from obeaver.api.chat.endpoint import ChatApi
from obeaver.api.chat.tokens import TokensApi
from obeaver.api.contract.operations import BODY_ERRORS, CHOICE_ERRORS, ENGINE_ERRORS, Operation
from obeaver.api.core.dialect import Dialect
from obeaver.api.models.state import ApiState
from obeaver.errors import ContextLengthExceeded, GrammarTooComplex, ModelNotLoaded, NoChatTemplate, TemplateFailed
from obeaver.web.router import Handler


def _handlers(state: ApiState) -> Mapping[str, Handler]:
    tokens = TokensApi(state)
    return {
        "createChatCompletion": ChatApi(state).create,
        "tokenize": tokens.tokenize,
        "detokenize": tokens.detokenize,
    }


CHAT = Dialect(
    operations=(
        Operation(
            id="createChatCompletion",
            method="POST",
            path="/v1/chat/completions",
            summary="Answer a conversation, whole or as a stream",
            request="chat_completion",
            response="ChatCompletion",
            event="ChatCompletionChunk",
            errors=(
                *BODY_ERRORS,
                ContextLengthExceeded,
                GrammarTooComplex,
                NoChatTemplate,
                TemplateFailed,
                *CHOICE_ERRORS,
                *ENGINE_ERRORS,
            ),
            example='{"messages": [{"role": "user", "content": "Why is the sky blue?"}], "max_tokens": 64}',
        ),
        Operation(
            id="tokenize",
            method="POST",
            path="/v1/tokenize",
            summary="Tokens of a text or a conversation",
            request="tokenize",
            response="Tokenized",
            errors=(*BODY_ERRORS, NoChatTemplate, TemplateFailed, *CHOICE_ERRORS, ModelNotLoaded),
            example='{"prompt": "The beaver is"}',
        ),
        Operation(
            id="detokenize",
            method="POST",
            path="/v1/detokenize",
            summary="The text of tokens",
            request="detokenize",
            response="Detokenized",
            errors=(*BODY_ERRORS, *CHOICE_ERRORS, ModelNotLoaded),
            example='{"tokens": [1, 2, 3]}',
        ),
    ),
    handlers=_handlers,
)
