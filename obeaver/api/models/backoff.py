"""How long to wait before an engine that has failed is started anew."""

from typing import Final

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
STABLE_AFTER_S: Final = 60.0
"""An engine that has worked for so long had another reason to fail than the one before."""


class Backoff:
    """Twice as long each time, until an engine has lasted."""

    def __init__(self) -> None:
        self._num_failures = 0

    def next_wait_s(self, lived_s: float = 0.0) -> float:
        """An engine has failed, or could not be started.

        Args:
            lived_s: How long it had worked.
        """
        if lived_s >= STABLE_AFTER_S:
            self._num_failures = 0
        wait_s = FIRST_WAIT_S * 2.0 ** min(self._num_failures, 16)
        self._num_failures += 1
        return min(wait_s, LONGEST_WAIT_S)
