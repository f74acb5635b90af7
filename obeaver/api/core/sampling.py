"""The part of a chat request that says how to choose tokens, in the engine's terms."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import BadRequest


def check_sampling(request: dict[str, Any]) -> None:
    """Check what binds one parameter to another.

    Raises:
        BadRequest: Names the parameter that needs the other.
    """
    if request["top_logprobs"] is not None and not request["logprobs"]:
        raise BadRequest("`top_logprobs` needs `logprobs` to be true.", param="top_logprobs", code="invalid_value")
    check_generation(request, token_limit(request))


def check_generation(request: dict[str, Any], limit: int) -> None:
    """The part of it that every request for text shares.

    Args:
        request: Valid by its schema.
        limit: The most tokens that the client wants.

    Raises:
        BadRequest: Names the parameter that needs the other.
    """
    if request["stream_options"] is not None and not request["stream"]:
        raise BadRequest("`stream_options` needs `stream` to be true.", param="stream_options", code="invalid_value")
    if request["min_tokens"] > limit:
        raise BadRequest("`min_tokens` must not be above `max_tokens`.", param="min_tokens", code="invalid_value")


def token_limit(request: dict[str, Any]) -> int:
    """The most tokens that the client wants."""
    limit: int = request["max_completion_tokens"] or request["max_tokens"]
    return limit


def includes_usage(request: dict[str, Any]) -> bool:
    """Whether a stream ends with the usage."""
    return bool((request["stream_options"] or {}).get("include_usage"))


def stop_strings(request: dict[str, Any]) -> list[str]:
    """The strings that end the answer."""
    stop = request["stop"] or []
    return [stop] if isinstance(stop, str) else stop


def sampling_params(
    request: dict[str, Any], *, room: int, vocab_size: int, end_ids: Iterable[int], grammar: str | None
) -> list[SamplingParams]:
    """One set of parameters for each of a chat request's `n` choices; they differ in their seeds.

    Args:
        request: A valid chat request.
        room: Tokens that the context leaves; the limit is clipped to it. The engine refuses what has no room at all.
        vocab_size: Ids in `logit_bias` are below it.
        end_ids: The model's ids for the end of the text.
        grammar: What the answer must hold to.

    Raises:
        BadRequest: `logit_bias` names an id that the model does not have.
    """
    params = shared_params(request, limit=token_limit(request), room=room, vocab_size=vocab_size, end_ids=end_ids)
    num_logprobs = (request["top_logprobs"] or 0) if request["logprobs"] else None
    return for_each_choice(request, replace(params, num_logprobs=num_logprobs, grammar=grammar))


def shared_params(
    request: dict[str, Any], *, limit: int, room: int, vocab_size: int, end_ids: Iterable[int]
) -> SamplingParams:
    """What the parameters of `generation.json` say, but the seed.

    Args:
        request: A valid request of any kind.
        limit: The most tokens that the client wants.
        room: As in `sampling_params`, with the others.
        vocab_size: See there.
        end_ids: See there.

    Raises:
        BadRequest: `logit_bias` names an id that the model does not have.
    """
    return SamplingParams(
        max_tokens=max(1, min(limit, room)),
        min_tokens=request["min_tokens"],
        temperature=float(request["temperature"]),
        top_k=request["top_k"],
        top_p=float(request["top_p"]),
        min_p=float(request["min_p"]),
        repetition_penalty=float(request["repetition_penalty"]),
        presence_penalty=float(request["presence_penalty"]),
        frequency_penalty=float(request["frequency_penalty"]),
        logit_bias=_logit_bias(request["logit_bias"] or {}, vocab_size),
        stop_token_ids=frozenset() if request["ignore_eos"] else frozenset(end_ids),
    )


def for_each_choice(request: dict[str, Any], params: SamplingParams) -> list[SamplingParams]:
    """The parameters of each of the `n` choices, which differ in their seeds."""
    return [replace(params, seed=choice_seed(request["seed"], index)) for index in range(request["n"])]


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


def _logit_bias(given: dict[str, float], vocab_size: int) -> dict[int, float]:
    bias = {int(token_id): float(value) for token_id, value in given.items()}
    if any(token_id >= vocab_size for token_id in bias):
        raise BadRequest(
            f"Every name in `logit_bias` must be a token id below {vocab_size}.",
            param="logit_bias",
            code="invalid_value",
        )
    return bias
