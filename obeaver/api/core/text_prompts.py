"""The `prompt` of a request that has no conversation: one text or several, or their token ids."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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


def text_prompts(model: LoadedModel, prompt: Any) -> list[TextPrompt]:
    """The prompts that a valid `prompt` holds, in their order.

    Raises:
        BadRequest: An array mixes kinds, an id is none of the model's, or a text has no tokens.
    """
    return [_text_prompt(model, value, path) for path, value in _prompts(prompt)]


def _prompts(prompt: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(prompt, str):
        yield "prompt", prompt
        return
    kinds = [_kind(item) for item in prompt]
    for index, kind in enumerate(kinds):
        if kind is not kinds[0]:
            path = f"prompt[{index}]"
            raise BadRequest(f"`{path}` must be of the same type as `prompt[0]`.", param=path, code="invalid_type")
    if kinds[0] is int:
        yield "prompt", prompt
    else:
        yield from ((f"prompt[{index}]", item) for index, item in enumerate(prompt))


def _kind(item: Any) -> type:
    return type(item) if isinstance(item, str | list) else int


def _text_prompt(model: LoadedModel, value: str | list[int], path: str) -> TextPrompt:
    if isinstance(value, str):
        prompt = encoded(model.tokenizer, value)
    else:
        token_ids = [int(token_id) for token_id in value]
        check_ids(model, token_ids, path)
        prompt = TextPrompt(model.tokenizer.decode(token_ids, skip_special=False), token_ids)
    if not prompt.token_ids:
        raise BadRequest(f"`{path}` has no tokens.", param=path, code="invalid_value")
    return prompt


def encoded(tokenizer: Tokenizer, text: str, *, add_special_tokens: bool = True) -> TextPrompt:
    """A text with its tokens: control tokens in it act as such, and BOS goes before them where the model wants it."""
    token_ids = tokenizer.encode(text, special=True)
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
