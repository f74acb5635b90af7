"""The engine's thread: owns the core, and steps it."""

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple, Protocol, Self

from obeaver.engine import owner_thread
from obeaver.engine.decoding.admission import Admission
from obeaver.engine.decoding.core import EngineCore
from obeaver.engine.decoding.plan import StepOutcome
from obeaver.engine.decoding.sequence import Sequence, SequenceId
from obeaver.engine.decoding.stats import EngineStats
from obeaver.engine.decoding.timeline import StepSpan
from obeaver.engine.owner_thread import OwnerThread, Stop
from obeaver.engine.prefix_disk.prefix_disk import Part, PrefixDisk, ReadEnded
from obeaver.engine.sessions.placement import Placement


class Abort(NamedTuple):
    """End this sequence at the next step's edge."""

    sequence_id: SequenceId


class Pause(NamedTuple):
    """Let this sequence stand still from the next step's edge on."""

    sequence_id: SequenceId


class Resume(NamedTuple):
    """Let this sequence go on."""

    sequence_id: SequenceId


Message = Sequence | Abort | Pause | Resume | Part | ReadEnded
"""What the inbox takes; a sequence that was put there belongs to the thread."""


class EngineFacts(NamedTuple):
    """What the other side may know of a core that was built; it does not change, but for what the disk counts."""

    admission: Admission
    label: str
    gives_all_logits: bool
    can_pause: bool
    kv_budget_bytes: int
    prefix_budget_bytes: int
    stats: EngineStats
    placement: Placement
    disk: PrefixDisk | None = None

    @classmethod
    def of(cls, core: EngineCore) -> Self:
        """The facts of a core."""
        info, settings = core.info, core.settings
        return cls(
            admission=core.admission,
            label=info.label,
            gives_all_logits=info.gives_all_logits,
            can_pause=core.can_pause,
            kv_budget_bytes=settings.kv_budget_bytes,
            prefix_budget_bytes=settings.prefix_cache_bytes if info.can_copy_kv else 0,
            stats=core.stats(),
            placement=info.placement,
            disk=core.disk,
        )


class Listener(owner_thread.Listener, Protocol):
    """Who hears of the thread."""

    def on_built(self, facts: EngineFacts) -> None:
        """The core stands."""

    def on_step(self, outcome: StepOutcome, stats: EngineStats, span: StepSpan) -> None:
        """A step was made."""


class EngineThread(OwnerThread[EngineCore, Message]):
    """Owns a core, and steps it while it has work.

    Args:
        make_core: Called in the thread.
        inbox: Read between two steps.
        loop: Where `listener` is called.
        listener: Hears what happens.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        make_core: Callable[[], EngineCore],
        inbox: SimpleQueue[Message | Stop],
        loop: asyncio.AbstractEventLoop,
        listener: Listener,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(make_core, inbox, loop, listener)
        self._listener = listener
        self._clock = clock

    def _serve(self, core: EngineCore) -> None:
        def take(message: Message) -> None:
            match message:
                case Abort(sequence_id):
                    core.abort(sequence_id)
                case Pause(sequence_id):
                    core.pause(sequence_id)
                case Resume(sequence_id):
                    core.resume(sequence_id)
                case Part() | ReadEnded():
                    core.receive(message)
                case _:
                    core.add(message)

        core.recall_by(self._inbox.put)
        self._post(self._listener.on_built, EngineFacts.of(core))
        while self._take_messages(take, wait=not core.has_work):
            if core.has_work and not self._step(core):
                return
        core.settle()

    def _step(self, core: EngineCore) -> bool:
        """Make a step and tell of it; False if nobody hears."""
        started_s = self._clock()
        outcome = core.step()
        return self._post(self._listener.on_step, outcome, core.stats(), StepSpan(started_s, self._clock()))

    def _give_back(self, core: EngineCore) -> None:
        core.close()
