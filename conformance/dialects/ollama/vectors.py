"""Vectors of texts: `/api/embed`, and `/api/embeddings` as it was before."""

import math

from conformance import sdk_schemas
from conformance.turns import Turn

NAMES = {"/api/embed": "embed", "/api/embeddings": "embedding"}
NORM_TOLERANCE = 1e-3


def violations(turn: Turn) -> list[str]:
    """What is wrong with an answer."""
    found = sdk_schemas.violations(NAMES[turn.endpoint], turn.value)
    if found:
        return [text[:300] for text in found[:5]]
    if turn.endpoint == "/api/embeddings":
        return [] if turn.value["embedding"] else ["the vector is empty"]
    vectors, inputs = turn.value["embeddings"], turn.request.get("input")
    count = len(inputs) if isinstance(inputs, list) else 1
    if len(vectors) != count:
        found.append(f"there are {len(vectors)} vectors for {count} texts")
    # The old endpoint does not say how long its vectors are; here they have the length 1.
    lengths = [math.sqrt(sum(number * number for number in vector)) for vector in vectors]
    found += [f"a vector has the length {x:.4f} instead of 1" for x in lengths if not abs(x - 1.0) <= NORM_TOLERANCE]
    if (turn.value.get("prompt_eval_count") or 0) < count:
        found.append(f"prompt_eval_count is {turn.value.get('prompt_eval_count')} for {count} texts")
    if not turn.value.get("total_duration"):
        found.append("total_duration is missing")
    return found
