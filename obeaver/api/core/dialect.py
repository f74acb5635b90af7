"""What a dialect is to the servers: what it answers, and how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from obeaver.api.contract.operations import Operation
from obeaver.web.error_shape import OWN_SHAPE, ErrorShape
from obeaver.web.router import Handler

S = TypeVar("S")
"""What handlers are given: the state of a server."""


@dataclass(frozen=True, slots=True)
class Dialect(Generic[S]):
    """A way to speak with models.

    Attributes:
        operations: What it answers.
        handlers: Makes the handlers of a server, by the operation's id.
        errors: How its errors look, on all of its paths.
    """

    operations: tuple[Operation, ...]
    handlers: Callable[[S], Mapping[str, Handler]]
    errors: ErrorShape = OWN_SHAPE
