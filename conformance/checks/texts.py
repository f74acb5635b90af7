"""What must be true of generated text, in any dialect."""

import json
from collections.abc import Sequence
from typing import Any

from jsonschema import Draft202012Validator


def violations(text: str, stops: Sequence[str]) -> list[str]:
    """What must not stand in generated text."""
    found = [f"the stop string {stop!r} stands in the answer" for stop in stops if stop in text]
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        found.append("the text has half a surrogate pair")
    return found


def cut_violations(deltas: Sequence[str]) -> list[str]:
    """Whether a character was cut in two between the pieces of a text."""
    # What a limit cuts at the very end can only be told so; pieces without text may follow.
    *before, _ = [delta for delta in deltas if delta] or [""]
    cut = any("\ufffd" in delta for delta in before)
    return ["a delta holds U+FFFD: a character was cut in two"] if cut else []


def form_violations(text: str, schema: Any) -> list[str]:
    """Whether a whole text is JSON that holds to a schema."""
    try:
        value = json.loads(text)
    except ValueError as error:
        return [f"the answer was to be JSON and is none ({error}): {text[:80]!r}"]
    wrong = Draft202012Validator(schema).iter_errors(value)
    return [f"the answer does not hold to its schema: {error.message[:120]}" for error in wrong]
