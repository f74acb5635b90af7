"""OpenAI's dialect that continues a text: what it answers, and by which handlers."""

from collections.abc import Mapping

from obeaver.api.completions.endpoint import CompletionsApi
from obeaver.api.contract.operations import BODY_ERRORS, CHOICE_ERRORS, ENGINE_ERRORS, Operation
from obeaver.api.core.dialect import Dialect
from obeaver.api.models.state import ApiState
from obeaver.errors import ContextLengthExceeded
from obeaver.web.router import Handler


def _handlers(state: ApiState) -> Mapping[str, Handler]:
    return {"createCompletion": CompletionsApi(state).create}


COMPLETIONS = Dialect(
    operations=(
        Operation(
            id="createCompletion",
            method="POST",
            path="/v1/completions",
            summary="Go on with a text, whole or as a stream",
            request="completion",
            response="Completion",
            event="CompletionChunk",
            errors=(*BODY_ERRORS, ContextLengthExceeded, *CHOICE_ERRORS, *ENGINE_ERRORS),
            example='{"prompt": "The beaver is", "max_tokens": 16}',
        ),
    ),
    handlers=_handlers,
)
