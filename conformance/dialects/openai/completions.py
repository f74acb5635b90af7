"""Text completions, whole and as a stream; their objects are the same."""

import itertools
from collections.abc import Mapping
from typing import Any

from conformance import sdk_schemas
from conformance.checks import texts
from conformance.checks.facts import ServerFacts
from conformance.dialects.openai import chat, chat_stream, usage
from conformance.dialects.openai.logprobs import TOLERANCE
from conformance.turns import Turn


def violations(turn: Turn, facts: ServerFacts) -> list[str]:
    """What is wrong with one."""
    if not isinstance(turn.value, dict):
        return [f"the answer is no object: {str(turn.value)[:120]}"]
    objects = [turn.value] if turn.chunks is None else turn.chunks
    off_model = [text for item in objects for text in sdk_schemas.violations("text_completion", item)]
    if off_model or not objects:
        return off_model or ["the stream has no chunks"]
    found = _stream_violations(turn) if turn.chunks is not None else []
    choices = turn.value["choices"]
    prompts = turn.request.get("prompt")
    num_prompts = len(prompts) if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int) else 1
    expected = list(range(num_prompts * (turn.request.get("n") or 1)))
    if [choice["index"] for choice in choices] != expected:
        found.append(f"choices have the indices {[c['index'] for c in choices]} instead of {expected}")
    found += facts.envelope_violations(turn.value)
    if turn.chunks is None or chat_stream.include_usage(turn.request):
        found += usage.violations(turn.value.get("usage"), turn.request, choices)
    return found + [text for choice in choices for text in _choice_violations(choice, turn.request)]


def _stream_violations(turn: Turn) -> list[str]:
    chunks = turn.chunks or ()
    found = chat_stream.constant_violations(chunks)
    found += chat_stream.usage_violations(chunks, asked=chat_stream.include_usage(turn.request))
    for index in {part["index"] for chunk in chunks for part in chunk["choices"]}:
        parts = [part for chunk in chunks for part in chunk["choices"] if part["index"] == index]
        found += chat_stream.finish_violations(index, parts)
    return found


def _choice_violations(choice: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    echo = request.get("echo") and isinstance(request["prompt"], str)
    found = [] if choice.get("finish_reason") else ["a choice has no finish_reason"]
    text = choice["text"]
    if echo and not text.startswith(request["prompt"]):
        found.append("echo was asked for and the text does not begin with the prompt")
    found += texts.violations(text.removeprefix(request["prompt"]) if echo else text, chat.stops(request))
    return found + _logprob_violations(choice, request)


def _logprob_violations(choice: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    logprobs = choice.get("logprobs")
    if request.get("logprobs") is None:
        return ["there are log-probabilities, and nobody asked for them"] if logprobs else []
    if not isinstance(logprobs, dict) or not isinstance(logprobs.get("tokens"), list):
        return [f"the log-probabilities have no list of tokens: {str(logprobs)[:80]}"]
    values = logprobs.get("token_logprobs") or []
    found = []
    if not len(logprobs["tokens"]) == len(values) == len(logprobs.get("text_offset") or []):
        found.append("tokens, token_logprobs and text_offset are not of one length")
    if any(value is not None and value > TOLERANCE for value in values):
        found.append("a log-probability is above 0")
    offsets = logprobs.get("text_offset") or []
    if any(later < earlier for earlier, later in itertools.pairwise(offsets)):
        found.append("text_offset goes back")
    return found
