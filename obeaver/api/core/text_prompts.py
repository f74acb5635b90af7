"""The `prompt` of a request that has no conversation: one text or several, or their token ids."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from obeaver.api.core.context_room import within_context
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.errors import BadRequest
from obeaver.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """What the model goes on with.

    Attributes:
        text: As the client gave it; of token ids, what they stand for.
        token_ids: At least one.
        num_added: Tokens at the beginning that do not stand in the text.
    """

    text: str
    token_ids: list[int]
    num_added: int = 0


@dataclass(frozen=True, slots=True)
class GivenPrompt:
    """A prompt as a request has it.

    Attributes:
        value: A text, or the ids of its tokens.
        at: Where it stood in the request.
    """

    value: str | list[int]
    at: str


def given_prompts(prompt: Any) -> tuple[GivenPrompt, ...]:
    """The prompts that a `prompt` holds, in their order; its schema accepts it.

    Raises:
        BadRequest: An array mixes kinds.
    """
    return tuple(_given(prompt))


def _given(prompt: Any) -> Iterator[GivenPrompt]:
    if isinstance(prompt, str):
        yield GivenPrompt(prompt, "prompt")
        return
    kinds = [_kind(item) for item in prompt]
    for index, kind in enumerate(kinds):
        if kind is not kinds[0]:
            path = f"prompt[{index}]"
            raise BadRequest(f"`{path}` must be of the same type as `prompt[0]`.", param=path, code="invalid_type")
    if kinds[0] is int:
        yield _of_one(prompt, "prompt")
    else:
        yield from (_of_one(item, f"prompt[{index}]") for index, item in enumerate(prompt))


def _of_one(value: str | list[float], at: str) -> GivenPrompt:
    return GivenPrompt(value if isinstance(value, str) else [int(token_id) for token_id in value], at)


def _kind(item: Any) -> type:
    return type(item) if isinstance(item, str | list) else int


def text_prompt(model: LoadedModel, given: GivenPrompt) -> TextPrompt:
    """The prompt as this model reads it.

    Raises:
        BadRequest: An id is none of the model's, or a text has no tokens.
        ContextLengthExceeded: A text can never fit.
    """
    if isinstance(given.value, str):
        with within_context(model.context_length, at=given.at):
            prompt = encoded(model.tokenizer, given.value, limit=model.context_length)
    else:
        check_ids(model, given.value, given.at)
        prompt = TextPrompt(model.tokenizer.decode(given.value, skip_special=False), given.value)
    if not prompt.token_ids:
        raise BadRequest(f"`{given.at}` has no tokens.", param=given.at, code="invalid_value")
    return prompt


def encoded(
    tokenizer: Tokenizer, text: str, *, limit: int | None = None, add_special_tokens: bool = True
) -> TextPrompt:
    """A text with its tokens: control tokens in it act as such, and BOS goes before them where the model wants it.

    Raises:
        TooManyTokens: It has more than `limit`, by its size.
    """
    token_ids = tokenizer.encode(text, special=True, limit=limit)
    bos_ids = [tokenizer.bos_id] if tokenizer.add_bos and tokenizer.bos_id is not None else []
    if not add_special_tokens or token_ids[:1] == bos_ids:
        return TextPrompt(text, token_ids)
    return TextPrompt(text, bos_ids + token_ids, num_added=len(bos_ids))


def check_ids(model: LoadedModel, token_ids: list[int], path: str) -> None:
    """Refuse ids that the model does not have.

    Raises:
        BadRequest: Names `path`.
    """
    limit = model.facts.vocab_size
    if any(token_id >= limit for token_id in token_ids):
        raise BadRequest(f"Every token id in `{path}` must be below {limit}.", param=path, code="invalid_value")
