"""From the `input` of a request to token ids for the encoder.

One text or many, as text or as token ids: the schema says so in words, and the checks are here, since JSON Schema would
look at each of a million token ids for microseconds.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from obeaver.api.encoders.state import PROMPTS_OF_TYPES, LoadedEncoder
from obeaver.engine.encoding.batches import TokenisedText
from obeaver.errors import BadRequest, ContextLengthExceeded
from obeaver.models.encoder.layout import EncoderFacts
from obeaver.text.long_texts import Beginning, TooManyChars, beginning
from obeaver.text.prompt_size import TooManyTokens
from obeaver.text.tokenizer import ModelInput, Tokenizer

MAX_TEXTS = 2048


class Inputs(NamedTuple):
    """What the encoder gets.

    Attributes:
        texts: One for each input, in order.
        num_cut: Tokens that were cut off.
    """

    texts: Sequence[TokenisedText]
    num_cut: int

    @property
    def num_tokens(self) -> int:
        """Tokens of all texts."""
        return sum(len(text.ids) for text in self.texts)


@dataclass(frozen=True, slots=True)
class GivenTexts:
    """Texts as a request has them.

    Attributes:
        given: One text or many, as text or as token ids; not checked yet.
        truncate: Whether a text that is too long may be cut.
        prompt_name: The prompt that goes before each; None for the model's own choice.
        input_type: What the texts are, which chooses a prompt too.
        at: Where they stood in the request.
    """

    given: Any
    truncate: bool = False
    prompt_name: str | None = None
    input_type: str | None = None
    at: str = "input"


def embedding_inputs(model: LoadedEncoder, texts: GivenTexts) -> Inputs:
    """The texts of a request as the model reads them.

    Raises:
        BadRequest: The input is of no allowed shape, or a prompt was asked for that the model has not.
        ContextLengthExceeded: A text is too long, and the request does not allow to cut it.
    """
    given, at = texts.given, texts.at
    prompt = prompt_for(model.facts, texts.prompt_name, texts.input_type)
    paths = [at] if _is_single(given) else [f"{at}[{index}]" for index in range(len(given))]
    values = [given] if _is_single(given) else given
    if len(values) > MAX_TEXTS:
        raise _invalid(at, f"must have at most {MAX_TEXTS:,} texts")
    if isinstance(values[0], str):
        read = [_text(value, path) for value, path in zip(values, paths, strict=True)]
        inputs = _from_text(model, read, paths, prompt, cut=texts.truncate)
    else:
        ids = [_ids(value, path, model.facts.vocab_size) for value, path in zip(values, paths, strict=True)]
        limit = model.context_length if texts.truncate else None
        inputs = [ModelInput(item[:limit], (), max(0, len(item) - (limit or len(item)))) for item in ids]
    num_prompt = 0 if model.facts.pools_prompt or not prompt else _num_prompt(model.tokenizer, prompt)
    return fitting(inputs, paths, model.context_length, num_prompt)


def prompt_for(facts: EncoderFacts, name: str | None, input_type: str | None) -> str:
    """The text that goes before each input; empty for none.

    Raises:
        BadRequest: The model has no prompt of this name.
    """
    if name is not None:
        if name not in facts.prompts:
            known = ", ".join(sorted(facts.prompts)) or "none"
            raise BadRequest(
                f"`prompt_name` must be one of this model's prompts: {known}", param="prompt_name", code="invalid_value"
            )
        return facts.prompts[name]
    usual = [facts.default_prompt] if facts.default_prompt is not None else []
    names = usual if input_type is None else PROMPTS_OF_TYPES[input_type]
    return next((facts.prompts[name] for name in names if name in facts.prompts), "")


def fitting(inputs: Sequence[ModelInput], paths: Sequence[str], limit: int, num_prompt: int = 0) -> Inputs:
    """The same for the engine, all of them within the model's context.

    Args:
        inputs: What the tokenizer made.
        paths: The parameter that each came from.
        limit: The model's context.
        num_prompt: Tokens at the beginning of each that a vector leaves out.

    Raises:
        ContextLengthExceeded: One of them is not.
    """
    for item, path in zip(inputs, paths, strict=True):
        if len(item.ids) > limit:
            raise _too_long(limit, path, str(len(item.ids)))
    texts = [TokenisedText(item.ids, item.type_ids, num_prompt) for item in inputs]
    return Inputs(texts, sum(item.num_cut for item in inputs))


def _from_text(
    model: LoadedEncoder, texts: Sequence[str], paths: Sequence[str], prompt: str, *, cut: bool
) -> list[ModelInput]:
    whole = [prompt + text for text in texts] if prompt else texts
    if model.facts.lower_case:
        whole = [text.lower() for text in whole]
    return encoded(model, whole, paths, cut=cut)


def encoded(
    model: LoadedEncoder, texts: Sequence[str], paths: Sequence[str], *, cut: bool, query: str | None = None
) -> list[ModelInput]:
    """Texts as the model's tokenizer reads them, or each with a query as a pair.

    Args:
        model: Whose tokenizer it is.
        texts: Of any length.
        paths: The parameter that each came from.
        cut: Longer ones may lose what the model does not read.
        query: What stands before each in a pair; it fits.

    Raises:
        ContextLengthExceeded: A text has more tokens than the model reads, for certain.
        BadRequest: A text has more characters than can be looked at.
    """
    parts = beginnings(model, texts, paths, cut=cut)
    limit = model.context_length if cut else None
    inputs: list[ModelInput] = model.tokenizer.encode_inputs(
        [part.text if query is None else (query, part.text) for part in parts], limit=limit
    )
    return with_rests(inputs, parts, paths)


def with_rests(inputs: Sequence[ModelInput], parts: Sequence[Beginning], paths: Sequence[str]) -> list[ModelInput]:
    """What the tokenizer made of beginnings, what stands behind them told as cut off.

    Raises:
        BadRequest: As for `encoded`.
    """
    return [_with_rest(*found) for found in zip(inputs, parts, paths, strict=True)]


def beginnings(model: LoadedEncoder, texts: Sequence[str], paths: Sequence[str], *, cut: bool) -> list[Beginning]:
    """The same texts, those that are far too long brought down to their beginnings.

    Raises:
        ContextLengthExceeded: As for `encoded`.
        BadRequest: As for `encoded`.
    """
    return [_beginning(model, text, path, cut=cut) for text, path in zip(texts, paths, strict=True)]


def _beginning(model: LoadedEncoder, text: str, path: str, *, cut: bool) -> Beginning:
    try:
        return beginning(model.tokenizer, text, model.context_length, cut=cut)
    except TooManyTokens as error:
        raise _too_long(model.context_length, path, f"at least {error.at_least}") from None
    except TooManyChars as error:
        raise _too_many_chars(path, error) from None


def _with_rest(item: ModelInput, part: Beginning, path: str) -> ModelInput:
    try:
        return part.counting_rest(item)
    except TooManyChars as error:
        raise _too_many_chars(path, error) from None


def _num_prompt(tokenizer: Tokenizer, prompt: str) -> int:
    """Tokens that a prompt and a prompt with something behind it have in common."""
    alone, longer = tokenizer.encode_inputs([prompt, prompt + "x"])
    same = (a == b for a, b in zip(alone.ids, longer.ids, strict=False))
    return sum(itertools.takewhile(bool, same))


def _is_single(given: Any) -> bool:
    """One text, or the token ids of one."""
    return isinstance(given, str) or _is_id(given[0])


def _is_id(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _invalid(path, "must be a text, as the first one is", code="invalid_type")
    if not value:
        raise _invalid(path, "must not be empty")
    return value


def _ids(value: Any, path: str, vocab_size: int) -> list[int]:
    if not isinstance(value, list):
        raise _invalid(path, "must be a text or an array of token ids", code="invalid_type")
    if not value:
        raise _invalid(path, "must not be empty")
    for index, item in enumerate(value):
        if not _is_id(item) or item != int(item):
            raise _invalid(f"{path}[{index}]", "must be a token id", code="invalid_type")
        if not 0 <= item < vocab_size:
            raise _invalid(f"{path}[{index}]", f"must be a token id from 0 to {vocab_size - 1}")
    return [int(item) for item in value]


def _too_long(limit: int, path: str, num_tokens: str) -> ContextLengthExceeded:
    return ContextLengthExceeded(
        f"This model's maximum context length is {limit} tokens, but `{path}` has {num_tokens}. "
        "Shorten it, or send `truncate: true` to have the rest cut off.",
        param=path,
    )


def _too_many_chars(path: str, error: TooManyChars) -> BadRequest:
    return _invalid(path, f"is too long: {error}", code="string_above_max_length")


def _invalid(path: str, problem: str, *, code: str = "invalid_value") -> BadRequest:
    return BadRequest(f"`{path}` {problem}", param=path, code=code)
