"""Vectors of texts."""

import base64
import binascii
import math
import struct
from typing import Any

from conformance import sdk_schemas
from conformance.checks.facts import ServerFacts
from conformance.turns import Turn

NORM_TOLERANCE = 1e-3


def violations(turn: Turn, facts: ServerFacts) -> list[str]:
    """What is wrong with an answer of `/embeddings`."""
    found = sdk_schemas.violations("embeddings", turn.value)
    if found:
        return [text[:300] for text in found[:5]]
    found = facts.model_violations(turn.value)
    data, usage = turn.value["data"], turn.value["usage"]
    inputs = turn.request.get("input")
    several = isinstance(inputs, list) and bool(inputs) and not isinstance(inputs[0], int)
    count = len(inputs) if several and isinstance(inputs, list) else 1
    if [item["index"] for item in data] != list(range(count)):
        found.append(f"vectors have the indices {[item['index'] for item in data]}, and there were {count} texts")
    if usage["prompt_tokens"] < count or usage["prompt_tokens"] != usage["total_tokens"]:
        found.append(f"usage cannot be right: {usage}")
    if turn.response is not None:
        kind = str if turn.request.get("encoding_format") == "base64" else list
        if not all(isinstance(item["embedding"], kind) for item in data):
            found.append(f"encoding_format is {turn.request.get('encoding_format')!r} and a vector is none of that")
    for item in data:
        found += _vector_violations(item["embedding"], turn.request.get("dimensions"))
    return found


def vector(written: Any) -> list[float]:
    """The numbers of a vector in either encoding.

    Raises:
        ValueError: It is no base64 of float32 numbers.
    """
    if not isinstance(written, str):
        return [float(number) for number in written]
    try:
        raw = base64.b64decode(written, validate=True)
        return [number for (number,) in struct.iter_unpack("<f", raw)]
    except (binascii.Error, struct.error) as error:
        raise ValueError(str(error)) from error


def _vector_violations(written: Any, dimensions: int | None) -> list[str]:
    try:
        numbers = vector(written)
    except ValueError as error:
        return [f"a vector is no base64 of float32 numbers: {error}"]
    found = []
    if dimensions is not None and len(numbers) != dimensions:
        found.append(f"a vector has {len(numbers)} numbers instead of {dimensions}")
    norm = math.sqrt(sum(number * number for number in numbers))
    if not abs(norm - 1.0) <= NORM_TOLERANCE:
        found.append(f"a vector has the length {norm:.4f} instead of 1")
    return found
