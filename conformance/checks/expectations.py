"""What a case says of an answer: a path, and a value or a JSON Schema for what stands there."""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from conformance.turns import Turn

MISSING = object()


def violations(turn: Turn, expected: Mapping[str, Any]) -> list[str]:
    """Where an answer is not what its case says.

    Args:
        turn: The answer.
        expected: Keys are `header NAME`, `seen PATH` (what an SDK adds; only where an SDK was asked), or a path into
            the JSON such as `choices.0.finish_reason`. Values are JSON Schemas, or plain values to be equal to; None
            also stands for nothing being there.
    """
    found = []
    for path, wanted in expected.items():
        if path.startswith("seen ") and turn.response is not None:
            continue
        if path.startswith("header ") and turn.response is None:
            continue
        actual = _at(turn, path)
        if actual is MISSING:
            found += [] if wanted is None else [f"{path} is missing"]
            continue
        schema = wanted if isinstance(wanted, dict) else {"const": wanted}
        wrong = Draft202012Validator(schema).iter_errors(actual)
        found += [f"{path}: {error.message[:200]}" for error in wrong]
    return found


def _at(turn: Turn, path: str) -> Any:
    if path.startswith("header "):
        header = turn.response.header(path.removeprefix("header ")) if turn.response is not None else None
        return MISSING if header is None else header
    root: Any = turn.value
    if path.startswith("seen "):
        root, path = dict(turn.seen), path.removeprefix("seen ")
    for part in path.split(".") if path else []:
        if isinstance(root, list) and part.isdigit() and int(part) < len(root):
            root = root[int(part)]
        elif isinstance(root, dict) and part in root:
            root = root[part]
        else:
            return MISSING
    return root
