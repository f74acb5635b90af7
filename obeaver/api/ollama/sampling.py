"""How an answer is made: what Ollama's `options`, `format` and `think` say."""

from collections.abc import Mapping
from typing import Any, Final

from obeaver.api.core.answer_form import JsonForm
from obeaver.api.core.conversation import Reasoning
from obeaver.api.core.sampling import Sampling, sampling_of
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.errors import BadRequest

NO_LIMIT: Final = 2**31 - 1
"""More than any context: as many tokens as it leaves."""

OUR_NAMES: Final[Mapping[str, str]] = {"repeat_penalty": "repetition_penalty"}
"""Of options that are called otherwise here."""


def parse_sampling(options: Mapping[str, Any]) -> Sampling:
    """Parameters of generation; what is not said has the defaults of every dialect, but for the limit: there is none.

    Raises:
        BadRequest: The temperature is above what can be.
    """
    given = {OUR_NAMES.get(name, name): value for name, value in options.items()}
    limit = given.get("num_predict", -1)
    if given.get("temperature", 0) > 2:
        # Ollama takes any; from 2 on, texts are noise, and clients mean another scale.
        raise BadRequest("`options.temperature` must be at most 2.", param="options.temperature", code="invalid_value")
    return sampling_of(given, max_tokens=limit if limit > 0 else NO_LIMIT)


def parse_form(given: str | Mapping[str, Any] | None) -> JsonForm | None:
    """The form of the answer."""
    if given is None:
        return None
    schema = {"type": "object"} if isinstance(given, str) else given
    return JsonForm(schema, at="format", schema_at="format")


def parse_thinking(think: bool | str | None) -> Reasoning:
    """How much to think."""
    if isinstance(think, str):
        return Reasoning(think, enabled=True)
    return Reasoning(None, think)


def check_context(model: LoadedModel, num_ctx: int | None) -> None:
    """See that the model has the context that a client counts on.

    Raises:
        BadRequest: It has less.
    """
    if num_ctx is not None and num_ctx > model.context_length:
        raise BadRequest(
            f"`options.num_ctx` must be at most {model.context_length}, the context of {model.name}.",
            param="options.num_ctx",
            code="invalid_value",
        )
