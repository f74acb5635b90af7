"""What JSON answers are made of."""

from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]


def object_list(items: Sequence[Object]) -> Object:
    """OpenAI's list."""
    return {"object": "list", "data": list(items)}
