"""Log-probabilities of the tokens of an answer."""

import itertools
from collections.abc import Mapping
from typing import Any

TOLERANCE = 1e-6


def chat_violations(choice: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    """What is wrong with the `logprobs` of a choice of a chat answer."""
    entries = (choice.get("logprobs") or {}).get("content")
    if not request.get("logprobs"):
        return ["there are log-probabilities, and nobody asked for them"] if entries else []
    if not entries:
        return ["the log-probabilities are missing"]
    count = request.get("top_logprobs") or 0
    found = [text for entry in entries for text in _entry_violations(entry, count)]
    content = (choice.get("message") or {}).get("content") or ""
    if request.get("stop") is None and all(isinstance(entry.get("bytes"), list) for entry in entries):
        text = b"".join(bytes(entry["bytes"]) for entry in entries).decode("utf-8", "replace")
        if text.rstrip("\ufffd") != content.rstrip("\ufffd"):
            found.append(f"the tokens' bytes join to {text[:60]!r}, the content is {content[:60]!r}")
    return found


def _entry_violations(entry: Mapping[str, Any], count: int) -> list[str]:
    found = []
    logprob = entry.get("logprob")
    if not isinstance(logprob, int | float) or logprob > TOLERANCE:
        found.append(f"a log-probability is {logprob!r}: it cannot be above 0")
    top = entry.get("top_logprobs") or []
    if len(top) != count:
        found.append(f"top_logprobs has {len(top)} entries instead of {count}")
    values = [item.get("logprob", 1.0) for item in top]
    if any(value > TOLERANCE for value in values):
        found.append("one of top_logprobs is above 0")
    if any(later > earlier + TOLERANCE for earlier, later in itertools.pairwise(values)):
        found.append("top_logprobs are not in the order of their probability")
    return found
