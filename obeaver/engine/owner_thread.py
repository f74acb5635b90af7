"""A thread that owns something from its first to its last moment; everything else reaches it through an inbox."""

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, Protocol, TypeVar, TypeVarTuple

logger = logging.getLogger(__name__)

T = TypeVar("T")
"""What the thread owns."""
M = TypeVar("M")
"""What is put into its inbox."""

_Args = TypeVarTuple("_Args")


class Stop(NamedTuple):
    """End the thread at the next edge of its work."""


class Listener(Protocol):
    """Who hears of the thread. Called on the event loop's thread; `on_gone` comes last, once, whatever happened."""

    def on_build_failed(self, error: Exception) -> None:
        """There is nothing to own."""

    def on_crash(self) -> None:
        """The work has failed as a whole, and there will be no more of it."""

    def on_gone(self) -> None:
        """What was owned is given back and the thread ends."""


class OwnerThread(ABC, Generic[T, M]):
    """Builds what it owns, works with it, gives it back.

    Args:
        make: Builds it; called in the thread.
        inbox: Read between two pieces of work; the thread blocks on it when there is none.
        loop: Where `listener` is called.
        listener: Hears what happens.
    """

    def __init__(
        self,
        make: Callable[[], T],
        inbox: SimpleQueue[M | Stop],
        loop: asyncio.AbstractEventLoop,
        listener: Listener,
    ) -> None:
        self._make = make
        self._inbox = inbox
        self._loop = loop
        self._owner = listener

    def start(self, name: str) -> None:
        """Begin. A daemon, so that work that hangs in native code cannot keep the process from ending."""
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for its last instructions: `on_gone` is called while the thread still stands."""
        self._thread.join()

    @abstractmethod
    def _serve(self, owned: T) -> None:
        """Say that it stands, and work until a message says to stop."""

    @abstractmethod
    def _give_back(self, owned: T) -> None:
        """Its last moment, whatever happened."""

    def _main(self) -> None:
        try:
            self._build_and_live()
        finally:
            # What was owned is gone with that call: whoever hears this can count on its memory.
            self._post(self._owner.on_gone)

    def _build_and_live(self) -> None:
        try:
            owned = self._make()
        except Exception as error:  # noqa: BLE001 - goes to whoever awaits the start
            self._post(self._owner.on_build_failed, error)
            return
        try:
            self._serve(owned)
        except BaseException:  # SystemExit among them: whatever ends the thread, nobody is left waiting
            logger.exception("the engine failed")
            self._post(self._owner.on_crash)
        try:
            self._give_back(owned)
        except Exception:
            logger.exception("the engine could not be closed")

    def _take_messages(self, take: Callable[[M], None], *, wait: bool) -> bool:
        """Hand over all that came; with `wait`, at least one. False: the thread shall end."""
        while True:
            try:
                message = self._inbox.get(wait)
            except Empty:
                return True
            wait = False
            if isinstance(message, Stop):
                return False
            take(message)

    def _post(self, callback: Callable[[*_Args], None], *args: *_Args) -> bool:
        """Call on the loop; False if the loop is closed, and nobody is there to hear."""
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            return False
        return True
