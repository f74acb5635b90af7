"""What must hold between the answers of a case's steps."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conformance.answers import Turn
from conformance.checks.embeddings import vector

Relation = Callable[[Sequence[Turn]], list[str]]
SAME_COSINE = 0.999
SAME_NUMBER = 1e-5


def violations(name: str, turns: Sequence[Turn]) -> list[str]:
    """What breaks the relation of this name.

    Raises:
        KeyError: There is no such relation.
    """
    relation = RELATIONS[name]
    try:
        return relation(turns)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return [f"the answers cannot be compared: {type(error).__name__}: {error}"]


def stream_is_plain(turns: Sequence[Turn]) -> list[str]:
    """The joined deltas of the later steps are the answer of the first."""
    plain = _essence(turns[0].value)
    found = []
    for turn in turns[1:]:
        streamed = _essence(turn.value)
        for name, value in plain.items():
            if streamed[name] is not None and streamed[name] != value:
                found.append(f"{name}: the stream joins to {streamed[name]!r}, the plain answer is {value!r}")
    return found


def same_text(turns: Sequence[Turn]) -> list[str]:
    """All steps have the same texts."""
    texts = [[_text(choice) for choice in turn.value["choices"]] for turn in turns]
    return [f"the answers differ: {texts[0]!r} and {other!r}" for other in texts[1:] if other != texts[0]]


def stop_cuts(turns: Sequence[Turn]) -> list[str]:
    """The later steps are the first one, up to their stop string."""
    whole = _text(turns[0].value["choices"][0])
    found = []
    for turn in turns[1:]:
        stops = turn.request["stop"]
        places = [whole.index(stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop in whole]
        if not places:
            found.append(f"no stop string stands in {whole!r}: the case shows nothing")
        elif (text := _text(turn.value["choices"][0])) != whole[: min(places)]:
            found.append(f"the text is {text!r} instead of {whole[: min(places)]!r}")
    return found


def same_vectors(turns: Sequence[Turn]) -> list[str]:
    """All steps have the same numbers, however they are written."""
    first, *others = [[vector(item["embedding"]) for item in turn.value["data"]] for turn in turns]
    found = []
    for other in others:
        pairs = zip(itertools.chain(*first), itertools.chain(*other), strict=True)
        if any(abs(mine - theirs) > SAME_NUMBER for mine, theirs in pairs):
            found.append("the numbers differ")
    return found


def batch_is_singles(turns: Sequence[Turn]) -> list[str]:
    """Vector i of the first step is that of step i + 1, which has its text alone."""
    batch = [vector(item["embedding"]) for item in turns[0].value["data"]]
    alone = [vector(turn.value["data"][0]["embedding"]) for turn in turns[1:]]
    found = []
    for number, (mine, theirs) in enumerate(zip(batch, alone, strict=True)):
        cosine = sum(a * b for a, b in zip(mine, theirs, strict=True))
        if cosine < SAME_COSINE:
            found.append(f"vector {number} is not that of its text alone: their cosine is {cosine:.4f}")
    return found


def tokens_add_up(turns: Sequence[Turn]) -> list[str]:
    """The prompt tokens of the first step are those of all others together."""
    first, *others = [turn.value["usage"]["prompt_tokens"] for turn in turns]
    return [] if first == sum(others) else [f"{first} prompt tokens are not {' + '.join(map(str, others))}"]


def _essence(value: Mapping[str, Any]) -> dict[str, Any]:
    # A call's id is drawn anew each time, and a stream need not have a usage.
    choices = value["choices"]
    calls = [
        [(call["function"]["name"], call["function"]["arguments"]) for call in _message(choice).get("tool_calls") or []]
        for choice in choices
    ]
    usage = value.get("usage")
    counts = usage and {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    return {
        "text": [_text(choice) for choice in choices],
        "tool calls": calls,
        "finish_reason": [choice.get("finish_reason") for choice in choices],
        "usage": counts,
    }


def _message(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    message: Mapping[str, Any] = choice.get("message") or {}
    return message


def _text(choice: Mapping[str, Any]) -> str:
    text = choice["text"] if "text" in choice else _message(choice).get("content")
    return text or ""


RELATIONS: dict[str, Relation] = {
    "the stream joins to the plain answer": stream_is_plain,
    "the texts are the same": same_text,
    "the stop string cuts the first answer": stop_cuts,
    "the vectors are the same": same_vectors,
    "each vector is that of its text alone": batch_is_singles,
    "prompt tokens add up": tokens_add_up,
}
