"""OpenAI's Responses dialect: what it answers, and by which handlers."""

from collections.abc import Mapping

from obeaver.api.contract.operations import BODY_ERRORS, CHOICE_ERRORS, ENGINE_ERRORS, Operation
from obeaver.api.core.dialect import Dialect
from obeaver.api.models.state import ApiState
from obeaver.api.responses.endpoint import ResponsesApi
from obeaver.api.responses.error_shape import ResponsesErrors
from obeaver.errors import ContextLengthExceeded, TemplateFailed
from obeaver.web.router import Handler


def _handlers(state: ApiState) -> Mapping[str, Handler]:
    return {"createResponse": ResponsesApi(state).create}


RESPONSES = Dialect(
    operations=(
        Operation(
            id="createResponse",
            method="POST",
            path="/v1/responses",
            summary="Answer a conversation as OpenAI's Responses API does, whole or as a stream",
            request="response_request",
            response="Response",
            event="ResponseEvent",
            errors=(*BODY_ERRORS, ContextLengthExceeded, TemplateFailed, *CHOICE_ERRORS, *ENGINE_ERRORS),
            example='{"input": "Why is the sky blue?", "max_output_tokens": 64}',
        ),
    ),
    handlers=_handlers,
    errors=ResponsesErrors(),
)
