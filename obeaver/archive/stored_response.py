"""Stored values: a response, and the items that went into it and came out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A piece of a conversation: something said, thought, called or given back.

    Attributes:
        id: What clients call it; several may have the same.
        document: The item itself, a JSON object.
        key: Its place in the archive; None for one that is new.
    """

    id: str
    document: Mapping[str, Any]
    key: int | None = None


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response with all of its conversation.

    Attributes:
        id: Unique.
        owner: Who may read it; "" where nobody is told apart.
        created: Seconds since 1970.
        document: The response without its output, a JSON object.
        inputs: The conversation that it answers, from its beginning.
        output: What the model made.
    """

    id: str
    owner: str
    created: int
    document: Mapping[str, Any]
    inputs: tuple[StoredItem, ...]
    output: tuple[StoredItem, ...]
