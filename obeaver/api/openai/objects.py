"""Parts of OpenAI's objects, built from plain values: pure, no clock, no randomness."""

import json
from collections.abc import Sequence

from obeaver.api.contract.wire import Object
from obeaver.api.core.head import Head
from obeaver.api.core.logprobs import ContentToken
from obeaver.api.core.usage import Timings, Usage
from obeaver.web.json_codec import LazyArray, listed

LOWEST_LOGPROB = -9999.0
"""JSON has no -Infinity; OpenAI's reference names this number for tokens that are as good as impossible."""


def envelope(head: Head, kind: str) -> Object:
    """What every answer and every chunk of this kind begins with."""
    return {
        "id": head.id,
        "object": kind,
        "created": head.created,
        "model": head.model,
        "system_fingerprint": head.system_fingerprint,
    }


def usage_object(usage: Usage) -> Object:
    """OpenAI's `usage`."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def timings_object(usage: Usage, timings: Timings) -> Object:
    """What an answer took, as llama.cpp tells it. The first token belongs to the prompt, from which it was computed."""
    num_computed, num_further = usage.prompt - usage.cached, max(0, usage.completion - 1)
    return {
        "cache_n": usage.cached,
        **_pace("prompt", num_computed, num_computed, timings.prompt_ns),
        **_pace("predicted", usage.completion, num_further, timings.predicted_ns),
    }


def _pace(name: str, count: int, num_timed: int, ns: int) -> Object:
    ms = ns / 1e6
    return {
        f"{name}_n": count,
        f"{name}_ms": ms,
        f"{name}_per_token_ms": ms / num_timed if num_timed else 0.0,
        f"{name}_per_second": 1000 * num_timed / ms if ms else 0.0,
    }


def logprobs_object(tokens: Sequence[ContentToken] | None) -> Object | None:
    """A choice's `logprobs`: null when they were not asked for."""
    return None if tokens is None else {"content": LazyArray(tokens, token_entry), "refusal": None}


def token_entry(token: ContentToken) -> Object:
    """A token with its log-probability and its alternatives."""
    alternatives = [token_logprob(*alternative) for alternative in token.top]
    return {**token_logprob(token.token, token.logprob), "top_logprobs": alternatives}


def finite(logprob: float) -> float:
    """The log-probability as a number that JSON has."""
    return max(logprob, LOWEST_LOGPROB)


def token_logprob(token: bytes, logprob: float) -> Object:
    """A token with its bytes: they, and not its text, join to the whole even inside a character."""
    return {
        "token": token.decode("utf-8", errors="replace"),
        "logprob": finite(logprob),
        "bytes": list(token),
    }


def dumps(value: object) -> str:
    """JSON text, compact and all ASCII: some clients split lines at U+2028 and its like."""
    return json.dumps(value, separators=(",", ":"), default=listed)
