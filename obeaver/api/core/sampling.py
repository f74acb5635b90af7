"""How tokens are chosen: what every dialect's parser makes, and the engine's parameters made of it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from obeaver.api.contract.schema_files import schema_document
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import BadRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How many answers to make, how to choose their tokens, and where they end.

    `generation.json` says what the parameters mean; `sampling_of` has its defaults.

    Attributes:
        max_tokens: The most tokens that the client wants in each answer; clipped to what the context leaves.
        n: Answers.
        stop: Strings that end an answer.
        num_logprobs: How many of the likeliest tokens to report beside each; None for no log-probabilities.
        num_prompt_logprobs: The same for the prompt's tokens.
    """

    max_tokens: int
    min_tokens: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    ignore_eos: bool
    n: int = 1
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    num_logprobs: int | None = None
    num_prompt_logprobs: int | None = None


def sampling_of(
    request: Mapping[str, Any],
    *,
    max_tokens: int,
    num_logprobs: int | None = None,
    num_prompt_logprobs: int | None = None,
) -> Sampling:
    """What the parameters of a valid request say.

    Args:
        request: Parameters by their names in `generation.json`; one that is missing or None has the default there.
        max_tokens: As in `Sampling`, with the others.
        num_logprobs: See there.
        num_prompt_logprobs: See there.
    """
    given = defaults() | {name: value for name, value in request.items() if value is not None}
    return Sampling(
        max_tokens=max_tokens,
        min_tokens=given["min_tokens"],
        temperature=float(given["temperature"]),
        top_k=given["top_k"],
        top_p=float(given["top_p"]),
        min_p=float(given["min_p"]),
        repetition_penalty=float(given["repetition_penalty"]),
        presence_penalty=float(given["presence_penalty"]),
        frequency_penalty=float(given["frequency_penalty"]),
        ignore_eos=given["ignore_eos"],
        n=given["n"],
        seed=given.get("seed"),
        stop=_stop_strings(given.get("stop", ())),
        logit_bias={int(token_id): float(value) for token_id, value in given.get("logit_bias", {}).items()},
        num_logprobs=num_logprobs,
        num_prompt_logprobs=num_prompt_logprobs,
    )


@cache
def defaults() -> dict[str, Any]:
    """The defaults in `generation.json`, by parameter."""
    definitions = schema_document("generation")["$defs"]
    return {name: schema["default"] for name, schema in definitions.items() if "default" in schema}


def _stop_strings(stop: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(text for text in ((stop,) if isinstance(stop, str) else stop) if text)


def sampling_params(
    sampling: Sampling, *, room: int, vocab_size: int, end_ids: Iterable[int], grammar: str | None = None
) -> list[SamplingParams]:
    """The engine's parameters, one set for each of the `n` answers; they differ in their seeds.

    Args:
        sampling: What the client wants.
        room: Tokens that the context leaves; the limit is clipped to it. The engine refuses what has no room at all.
        vocab_size: Ids in `logit_bias` are below it.
        end_ids: The model's ids for the end of the text.
        grammar: What the answer must hold to.

    Raises:
        BadRequest: `logit_bias` names an id that the model does not have.
    """
    if any(token_id >= vocab_size for token_id in sampling.logit_bias):
        message = f"Every name in `logit_bias` must be a token id below {vocab_size}."
        raise BadRequest(message, param="logit_bias", code="invalid_value")
    stop_token_ids: frozenset[int] = frozenset() if sampling.ignore_eos else frozenset(end_ids)
    return [
        SamplingParams(
            max_tokens=max(1, min(sampling.max_tokens, room)),
            min_tokens=sampling.min_tokens,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            logit_bias=sampling.logit_bias,
            seed=choice_seed(sampling.seed, index),
            num_logprobs=sampling.num_logprobs,
            num_prompt_logprobs=sampling.num_prompt_logprobs,
            stop_token_ids=stop_token_ids,
            grammar=grammar,
        )
        for index in range(sampling.n)
    ]


def choice_seed(seed: int | None, index: int) -> int | None:
    """The seed of one choice: the request's own for the first, so that it does not depend on `n`.

    Later ones hash (seed, index): consecutive seeds would make choice 1 of seed 7 the same as choice 0 of seed 8.
    """
    if seed is None:
        return None
    if index == 0:
        return seed % 2**64
    digest = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
