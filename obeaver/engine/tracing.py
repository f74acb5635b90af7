"""What an engine's thread does when: spans that somebody may record."""

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol


class Tracer(Protocol):
    """Records spans. Called from the threads of engines."""

    def span(self, name: str, /, **details: int) -> AbstractContextManager[None]:
        """Something that takes as long as the block; spans of a thread lie within each other."""


class _Untraced:
    """Records nothing."""

    _nothing = nullcontext()

    def span(self, _name: str, /, **_details: int) -> AbstractContextManager[None]:
        return self._nothing


UNTRACED: Final[Tracer] = _Untraced()
