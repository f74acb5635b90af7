"""Compiled grammars that are kept: agents send the same tools again and again."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

MOST: Final = 128
"""Grammars that are kept."""

MOST_CHARS: Final = 100_000
"""Characters of theirs in all: a compilation takes up to 150 bytes for each. A longer one is its request's alone."""


class KeptCompilations:
    """The latest compilations, as many as fit. May be used from several threads at once.

    Args:
        build: Compiles a grammar; what it raises is not kept.
    """

    def __init__(self, build: Callable[[str], Any]) -> None:
        self._build = build
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._num_chars = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, grammar: str) -> Any:
        """The compilation of a grammar. Two threads that ask for a new one at once both compile it."""
        with self._lock:
            if grammar in self._kept:
                self._kept.move_to_end(grammar)
                return self._kept[grammar]
        built = self._build(grammar)
        with self._lock:
            self._keep(grammar, built)
        return built

    def _keep(self, grammar: str, built: Any) -> None:
        if grammar in self._kept or len(grammar) > MOST_CHARS:
            return
        self._kept[grammar] = built
        self._num_chars += len(grammar)
        while len(self._kept) > MOST or self._num_chars > MOST_CHARS:
            oldest, _ = self._kept.popitem(last=False)
            self._num_chars -= len(oldest)
