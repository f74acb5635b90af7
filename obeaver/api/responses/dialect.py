"""OpenAI's Responses dialect: what it answers, and by which handlers."""

from collections.abc import Mapping

from obeaver.api.contract.operations import (
    BODY_ERRORS,
    CHOICE_ERRORS,
    ENGINE_ERRORS,
    YES_OR_NO,
    Operation,
    QueryParameter,
)
from obeaver.api.core.dialect import Dialect
from obeaver.api.models.state import ApiState
from obeaver.api.responses.background import BackgroundResponses
from obeaver.api.responses.endpoint import ResponsesApi
from obeaver.api.responses.error_shape import ResponsesErrors
from obeaver.api.responses.stored import MAX_EVENT, MAX_LIMIT, StoredResponsesApi
from obeaver.errors import (
    ArchiveUnavailable,
    BadRequest,
    ContextLengthExceeded,
    ModelNotLoaded,
    NoChatTemplate,
    NotFound,
    TemplateFailed,
)
from obeaver.web.router import Handler


def _handlers(state: ApiState) -> Mapping[str, Handler]:
    background = BackgroundResponses(state.background)
    responses, stored = ResponsesApi(state, background), StoredResponsesApi(state, background)
    return {
        "createResponse": responses.create,
        "countResponseTokens": responses.count,
        "retrieveResponse": stored.retrieve,
        "deleteResponse": stored.delete,
        "cancelResponse": stored.cancel,
        "listInputItems": stored.input_items,
    }


_STORED_ERRORS = (NotFound, ArchiveUnavailable)


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
            errors=(
                *BODY_ERRORS,
                ContextLengthExceeded,
                NoChatTemplate,
                TemplateFailed,
                *CHOICE_ERRORS,
                *ENGINE_ERRORS,
                ArchiveUnavailable,
            ),
            example='{"input": "Why is the sky blue?", "max_output_tokens": 64}',
        ),
        Operation(
            id="countResponseTokens",
            method="POST",
            path="/v1/responses/input_tokens",
            summary="Tokens of the prompt that such a conversation makes",
            request="response_request",
            response="ResponseInputTokens",
            errors=(
                *BODY_ERRORS,
                ContextLengthExceeded,
                NoChatTemplate,
                TemplateFailed,
                *CHOICE_ERRORS,
                ModelNotLoaded,
                ArchiveUnavailable,
            ),
            example='{"input": "Why is the sky blue?"}',
        ),
        Operation(
            id="retrieveResponse",
            method="GET",
            path="/v1/responses/{id}",
            summary="A stored response, or one that is being made in the background",
            response="Response",
            event="ResponseEvent",
            query=(
                QueryParameter(
                    "stream", "`true`: the events of one that is made in the background, or was just now.", YES_OR_NO
                ),
                QueryParameter(
                    "starting_after",
                    "With `stream`: the events after the one of this `sequence_number`.",
                    {"type": "integer", "minimum": 0, "maximum": MAX_EVENT},
                ),
            ),
            errors=(BadRequest, *_STORED_ERRORS),
        ),
        Operation(
            id="cancelResponse",
            method="POST",
            path="/v1/responses/{id}/cancel",
            summary="End a response that is made in the background; one that has ended stays as it is",
            response="Response",
            errors=(BadRequest, *_STORED_ERRORS),
        ),
        Operation(
            id="deleteResponse",
            method="DELETE",
            path="/v1/responses/{id}",
            summary="Remove a stored response, from the disk as well",
            response="ResponseDeleted",
            errors=_STORED_ERRORS,
        ),
        Operation(
            id="listInputItems",
            method="GET",
            path="/v1/responses/{id}/input_items",
            summary="The conversation that a stored response answers, a page of it",
            response="ResponseItemList",
            query=(
                QueryParameter(
                    "limit",
                    "Most items of the page, 1 to 100; 20 if not given.",
                    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
                ),
                QueryParameter(
                    "order",
                    "`desc`, the latest first, if not given; or `asc`.",
                    {"type": "string", "enum": ["desc", "asc", ""]},
                ),
                QueryParameter("after", "Id of an item: those that follow it in this order."),
                QueryParameter("before", "Id of an item: those that stand before it in this order."),
            ),
            errors=(BadRequest, *_STORED_ERRORS),
        ),
    ),
    handlers=_handlers,
    errors=ResponsesErrors(),
)
