"""The engine's thread: owns the core from its first to its last moment; everything else reaches it through an inbox."""

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol, Self, TypeVarTuple

from obeaver.engine.decoding.admission import Admission
from obeaver.engine.decoding.core import EngineCore
from obeaver.engine.decoding.plan import StepOutcome
from obeaver.engine.decoding.sequence import Sequence, SequenceId
from obeaver.engine.decoding.stats import EngineStats
from obeaver.engine.sessions.placement import Placement

logger = logging.getLogger(__name__)

_Args = TypeVarTuple("_Args")


class Abort(NamedTuple):
    """End this sequence at the next step's edge."""

    sequence_id: SequenceId


class Stop(NamedTuple):
    """End the thread at the next step's edge."""


Message = Sequence | Abort | Stop
"""What the inbox takes; a sequence that was put there belongs to the thread."""


class EngineFacts(NamedTuple):
    """What the other side may know of a core that was built; all of it is immutable."""

    admission: Admission
    label: str
    gives_all_logits: bool
    kv_budget_bytes: int
    prefix_budget_bytes: int
    stats: EngineStats
    placement: Placement

    @classmethod
    def of(cls, core: EngineCore) -> Self:
        """The facts of a core."""
        info, settings = core.info, core.settings
        return cls(
            admission=core.admission,
            label=info.label,
            gives_all_logits=info.gives_all_logits,
            kv_budget_bytes=settings.kv_budget_bytes,
            prefix_budget_bytes=settings.prefix_cache_bytes if info.can_copy_kv else 0,
            stats=core.stats(),
            placement=info.placement,
        )


class Listener(Protocol):
    """Who hears of the thread. Called on the event loop's thread; `on_gone` comes last, once, whatever happened."""

    def on_built(self, facts: EngineFacts) -> None:
        """The core stands."""

    def on_build_failed(self, error: Exception) -> None:
        """There is no core."""

    def on_step(self, outcome: StepOutcome, stats: EngineStats) -> None:
        """A step was made."""

    def on_crash(self) -> None:
        """The core raised; there will be no more steps."""

    def on_gone(self) -> None:
        """The core is closed and the thread ends."""


class EngineThread:
    """Builds a core, steps it while it has work, closes it.

    Args:
        make_core: Called in the thread.
        inbox: Read between two steps; the thread blocks on it when there is no work.
        loop: Where `listener` is called.
        listener: Hears what happens.
    """

    def __init__(
        self,
        make_core: Callable[[], EngineCore],
        inbox: SimpleQueue[Message],
        loop: asyncio.AbstractEventLoop,
        listener: Listener,
    ) -> None:
        self._make_core = make_core
        self._inbox = inbox
        self._loop = loop
        self._listener = listener

    def start(self, name: str) -> None:
        """Begin. A daemon, so that a step that hangs in native code cannot keep the process from ending."""
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for its last instructions: `on_gone` is called while the thread still stands."""
        self._thread.join()

    def _main(self) -> None:
        self._build_and_live()
        # The core is gone with that call: whoever hears this can count on its memory.
        self._post(self._listener.on_gone)

    def _build_and_live(self) -> None:
        try:
            core = self._make_core()
        except Exception as error:  # noqa: BLE001 - goes to whoever awaits the start
            self._post(self._listener.on_build_failed, error)
        else:
            self._live(core)

    def _live(self, core: EngineCore) -> None:
        try:
            self._post(self._listener.on_built, EngineFacts.of(core))
            self._serve(core)
        except Exception:
            logger.exception("the engine failed")
            self._post(self._listener.on_crash)
        try:
            core.close()
        except Exception:
            logger.exception("the engine could not be closed")

    def _serve(self, core: EngineCore) -> None:
        while self._take_messages(core):
            if core.has_work and not self._post(self._listener.on_step, core.step(), core.stats()):
                return

    def _take_messages(self, core: EngineCore) -> bool:
        """Hand over all that came; wait for something if there is no work. False: the thread shall end."""
        block = not core.has_work
        while True:
            try:
                message = self._inbox.get(block)
            except Empty:
                return True
            block = False
            if isinstance(message, Stop):
                return False
            if isinstance(message, Abort):
                core.abort(message.sequence_id)
            else:
                core.add(message)

    def _post(self, callback: Callable[[*_Args], None], *args: *_Args) -> bool:
        """Call on the loop; False if the loop is closed, and nobody is there to hear."""
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            return False
        return True
