"""`POST /v1/tokenize` and `/v1/detokenize`: what a prompt costs, before it is sent."""

from dataclasses import dataclass
from typing import Any, Final

from obeaver.api.chat.request import parse_chat_request
from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.core.context_room import within_context
from obeaver.api.core.conversation import Conversation
from obeaver.api.core.endpoint import Endpoint
from obeaver.api.core.prompt import make_prompt
from obeaver.api.core.text_prompts import check_ids, encoded
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.errors import BadRequest
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse

OF_CHAT = ("messages", "tools", "tool_choice", "parallel_tool_calls", "reasoning_effort", "chat_template_kwargs")
"""Parameters of a chat request that its prompt depends on."""


class TokensApi(Endpoint):
    """Handlers of the tokenizer's endpoints."""

    async def tokenize(self, request: Request) -> JSONResponse:
        """`POST /v1/tokenize`.

        Raises:
            ApiError: The request is wrong, or no model is loaded.
        """
        _, answer = await self.prepare(request, parse_tokenize, tokenized)
        return JSONResponse(answer)

    async def detokenize(self, request: Request) -> JSONResponse:
        """`POST /v1/detokenize`.

        Raises:
            ApiError: The request is wrong, or no model is loaded.
        """
        _, answer = await self.prepare(request, parse_detokenize, detokenized)
        return JSONResponse(answer)


COUNTED_CONTEXTS: Final = 8
"""Whoever asks what a text costs learns it for one that is so many times too long, and no longer."""


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """A text or a conversation that tokens are asked of.

    Attributes:
        model: The model that is named; "" for none.
        prompt: A text, or a conversation.
        add_special_tokens: Whether a text begins as a prompt does.
        return_token_strs: Whether the answer has the tokens' texts as well.
    """

    model: str
    prompt: str | Conversation
    add_special_tokens: bool
    return_token_strs: bool
    takes_compiling: bool = False


@dataclass(frozen=True, slots=True)
class DetokenizeRequest:
    """Tokens whose text is asked for."""

    model: str
    tokens: list[int]
    takes_compiling: bool = False


def parse_tokenize(body: object) -> TokenizeRequest:
    """The request.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("tokenize", body)
    return TokenizeRequest(
        request["model"], _prompt(request), request["add_special_tokens"], request["return_token_strs"]
    )


def _prompt(request: dict[str, Any]) -> str | Conversation:
    given = {name: request[name] for name in OF_CHAT if request[name] is not None}
    if request["prompt"] is None:
        if "messages" not in given:
            message = "Either `prompt` or `messages` is required."
            raise BadRequest(message, param="prompt", code="missing_required_parameter")
        return parse_chat_request(given).conversation
    if given:
        name = next(iter(given))
        raise BadRequest(f"`{name}` must not stand beside `prompt`.", param=name, code="invalid_value")
    prompt: str = request["prompt"]
    return prompt


def tokenized(model: LoadedModel, asked: TokenizeRequest) -> wire.Object:
    """The tokens of a text or a conversation: those that a completion or a chat answer would begin with.

    Raises:
        ContextLengthExceeded: There are far more than could ever be used.
        TemplateFailed: The template rejects the conversation.
    """
    token_ids = _token_ids(model, asked)
    strings = [model.tokenizer.token_text(token_id) for token_id in token_ids] if asked.return_token_strs else None
    # The names are vLLM's.
    answer = {"count": len(token_ids), "max_model_len": model.facts.context_length, "tokens": token_ids}
    return answer if strings is None else {**answer, "token_strs": strings}


def _token_ids(model: LoadedModel, asked: TokenizeRequest) -> list[int]:
    limit = COUNTED_CONTEXTS * model.context_length
    if isinstance(asked.prompt, Conversation):
        return make_prompt(model, asked.prompt, room=limit).token_ids
    with within_context(limit, at="prompt"):
        return encoded(
            model.tokenizer, asked.prompt, limit=limit, add_special_tokens=asked.add_special_tokens
        ).token_ids


def parse_detokenize(body: object) -> DetokenizeRequest:
    """The request.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("detokenize", body)
    return DetokenizeRequest(request["model"], request["tokens"])


def detokenized(model: LoadedModel, asked: DetokenizeRequest) -> wire.Object:
    """The text of some tokens, control tokens as they are written.

    Raises:
        BadRequest: An id is none of the model's.
    """
    check_ids(model, asked.tokens, "tokens")
    return {"prompt": model.tokenizer.decode(asked.tokens, skip_special=False)}
