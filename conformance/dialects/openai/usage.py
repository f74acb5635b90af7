"""Counts of tokens: what can be known of them without the model's tokenizer."""

from collections.abc import Mapping, Sequence
from typing import Any


def violations(usage: Any, request: Mapping[str, Any], choices: Sequence[Mapping[str, Any]]) -> list[str]:
    """What cannot be right about the counts of an answer."""
    if not isinstance(usage, dict):
        return ["the answer has no usage"]
    prompt, completion, total = (usage.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    if not (isinstance(prompt, int) and isinstance(completion, int) and isinstance(total, int)):
        return [f"usage has no three counts: {usage}"]
    found = []
    if total != prompt + completion:
        found.append(f"usage does not add up: {prompt} + {completion} is not {total}")
    if prompt < 1:
        found.append("the prompt has no tokens")
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    if not 0 <= cached <= prompt:
        found.append(f"{cached} of {prompt} prompt tokens are said to come from a cache")
    return found + _limit_violations(completion, request, choices)


def _limit_violations(completion: int, request: Mapping[str, Any], choices: Sequence[Mapping[str, Any]]) -> list[str]:
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    if not isinstance(limit, int) or request.get("echo"):
        return []
    limit *= max(1, len(choices))
    if completion > limit:
        return [f"{completion} tokens were generated, the limit is {limit}"]
    if choices and all(choice.get("finish_reason") == "length" for choice in choices) and completion != limit:
        return [f"every choice ended at its limit, together {limit} tokens, and usage counts {completion}"]
    return []
