"""`POST /v1/tokenize` and `/v1/detokenize`: what a prompt costs, before it is sent."""

from typing import Any

from obeaver.api.chat.request import parse_chat_request
from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
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
        return JSONResponse(await self.prepare(request, tokenized))

    async def detokenize(self, request: Request) -> JSONResponse:
        """`POST /v1/detokenize`.

        Raises:
            ApiError: The request is wrong, or no model is loaded.
        """
        return JSONResponse(await self.prepare(request, detokenized))


def tokenized(model: LoadedModel, body: object) -> wire.Object:
    """The tokens of a text or a conversation: those that a completion or a chat answer would begin with.

    Raises:
        BadRequest: Names the first parameter at fault.
        TemplateFailed: The template rejects the conversation.
    """
    request = parse("tokenize", body)
    token_ids = _token_ids(model, request)
    strings = [model.tokenizer.token_text(token_id) for token_id in token_ids] if request["return_token_strs"] else None
    return wire.tokenized(token_ids, model.facts.context_length, strings)


def _token_ids(model: LoadedModel, request: dict[str, Any]) -> list[int]:
    given = {name: request[name] for name in OF_CHAT if request[name] is not None}
    if request["prompt"] is None:
        if "messages" not in given:
            message = "Either `prompt` or `messages` is required."
            raise BadRequest(message, param="prompt", code="missing_required_parameter")
        return make_prompt(model, parse_chat_request(given)).token_ids
    if given:
        name = next(iter(given))
        raise BadRequest(f"`{name}` must not stand beside `prompt`.", param=name, code="invalid_value")
    prompt = encoded(model.tokenizer, request["prompt"], add_special_tokens=request["add_special_tokens"])
    return prompt.token_ids


def detokenized(model: LoadedModel, body: object) -> wire.Object:
    """The text of some tokens, control tokens as they are written.

    Raises:
        BadRequest: An id is none of the model's.
    """
    token_ids = parse("detokenize", body)["tokens"]
    check_ids(model, token_ids, "tokens")
    return {"prompt": model.tokenizer.decode(token_ids, skip_special=False)}
