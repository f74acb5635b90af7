"""JSON, read as strictly as a careful client reads it."""

import json
from typing import Any


def read_json(body: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is no UTF-8, no JSON, has NaN or a key twice.
    """
    text = body.decode("utf-8") if isinstance(body, bytes) else body
    return json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_constant)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("an object has the same key twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
