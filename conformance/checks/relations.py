"""What must hold between the answers of a case's steps."""

import itertools
from collections.abc import Callable, Sequence

from conformance.dialects.dialect import Dialect, Essence
from conformance.turns import Turn

Relation = Callable[[Dialect, Sequence[Turn]], list[str]]
SAME_COSINE = 0.999
SAME_NUMBER = 1e-5
SAME = ("id", "status", "created_at", "model", "output", "usage")
"""What a response that was stored is found again with."""


def violations(name: str, dialect: Dialect, turns: Sequence[Turn]) -> list[str]:
    """What breaks the relation of this name.

    Raises:
        KeyError: There is no such relation.
    """
    relation = RELATIONS[name]
    try:
        return relation(dialect, turns)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return [f"the answers cannot be compared: {type(error).__name__}: {error}"]


def stream_is_plain(dialect: Dialect, turns: Sequence[Turn]) -> list[str]:
    """The joined deltas of the later steps are the answer of the first."""
    plain = dialect.essence(turns[0].value)
    return [text for turn in turns[1:] for text in _differences(plain, dialect.essence(turn.value))]


def same_text(dialect: Dialect, turns: Sequence[Turn]) -> list[str]:
    """All steps have the same texts."""
    first, *others = [dialect.essence(turn.value).texts for turn in turns]
    return [f"the answers differ: {first!r} and {other!r}" for other in others if other != first]


def stop_cuts(dialect: Dialect, turns: Sequence[Turn]) -> list[str]:
    """The later steps are the first one, up to their stop string."""
    (whole,) = dialect.essence(turns[0].value).texts
    found = []
    for turn in turns[1:]:
        places = [whole.index(stop) for stop in dialect.stops(turn.request) if stop in whole]
        (text,) = dialect.essence(turn.value).texts
        if not places:
            found.append(f"no stop string stands in {whole!r}: the case shows nothing")
        elif text != whole[: min(places)]:
            found.append(f"the text is {text!r} instead of {whole[: min(places)]!r}")
    return found


def same_vectors(dialect: Dialect, turns: Sequence[Turn]) -> list[str]:
    """All steps have the same numbers, however they are written."""
    first, *others = [dialect.vectors(turn.value) for turn in turns]
    found = []
    for other in others:
        pairs = zip(itertools.chain(*first), itertools.chain(*other), strict=True)
        if any(abs(mine - theirs) > SAME_NUMBER for mine, theirs in pairs):
            found.append("the numbers differ")
    return found


def batch_is_singles(dialect: Dialect, turns: Sequence[Turn]) -> list[str]:
    """Vector i of the first step is that of step i + 1, which has its text alone."""
    batch = dialect.vectors(turns[0].value)
    alone = [dialect.vectors(turn.value)[0] for turn in turns[1:]]
    found = []
    for number, (mine, theirs) in enumerate(zip(batch, alone, strict=True)):
        cosine = sum(a * b for a, b in zip(mine, theirs, strict=True))
        if cosine < SAME_COSINE:
            found.append(f"vector {number} is not that of its text alone: their cosine is {cosine:.4f}")
    return found


def tokens_add_up(_dialect: Dialect, turns: Sequence[Turn]) -> list[str]:
    """The prompt tokens of the first step are those of all others together."""
    first, *others = [turn.value["usage"]["prompt_tokens"] for turn in turns]
    return [] if first == sum(others) else [f"{first} prompt tokens are not {' + '.join(map(str, others))}"]


def count_is_usage(_dialect: Dialect, turns: Sequence[Turn]) -> list[str]:
    """The first step has counted the tokens that the second one's usage tells of its prompt, with those cached."""
    counted, usage = turns[0].value["input_tokens"], turns[1].value["usage"]
    # Whether what came from a cache is a part of the prompt's tokens or stands beside them, servers do not agree.
    parts = [usage.get(name) or 0 for name in ("cache_read_input_tokens", "cache_creation_input_tokens")]
    told = usage["input_tokens"]
    return [] if counted in {told, told + sum(parts)} else [f"{counted} tokens were counted, and usage tells {told}"]


def same_response(_dialect: Dialect, turns: Sequence[Turn]) -> list[str]:
    """All steps have the same response."""
    first, *others = [{name: turn.value[name] for name in SAME} for turn in turns]
    return [f"{name} is not the same" for other in others for name in SAME if other[name] != first[name]]


def prompts_grow(_dialect: Dialect, turns: Sequence[Turn]) -> list[str]:
    """Each step's prompt has more tokens than the one before: it goes on with it."""
    counts = [turn.value["usage"]["input_tokens"] for turn in turns]
    grows = all(later > earlier for earlier, later in itertools.pairwise(counts))
    return [] if grows else [f"the prompts have {counts} tokens: what was said before is not in them"]


def _differences(plain: Essence, streamed: Essence) -> list[str]:
    pairs = {
        "text": (plain.texts, streamed.texts),
        "tool calls": (plain.calls, streamed.calls),
        "the reason of the end": (plain.ends, streamed.ends),
    }
    # A stream need not count.
    if streamed.counts is not None:
        pairs["usage"] = (plain.counts, streamed.counts)
    return [
        f"{name}: the stream joins to {theirs!r}, the plain answer is {ours!r}"
        for name, (ours, theirs) in pairs.items()
        if ours != theirs
    ]


RELATIONS: dict[str, Relation] = {
    "the stream joins to the plain answer": stream_is_plain,
    "the texts are the same": same_text,
    "the stop string cuts the first answer": stop_cuts,
    "the vectors are the same": same_vectors,
    "each vector is that of its text alone": batch_is_singles,
    "prompt tokens add up": tokens_add_up,
    "the count is that of the usage": count_is_usage,
    "the response is the same": same_response,
    "each prompt is longer than the one before": prompts_grow,
}
