"""One reading for all who ask at about the same time."""

import asyncio
import threading

import pytest

from obeaver.api.system.shared_reading import SharedReading
from obeaver.errors import Unavailable


class Instrument:
    """Counts how often it is read; waits for its gate."""

    def __init__(self) -> None:
        self.num_reads = 0
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def read(self) -> int:
        assert self.gate.wait(60)
        self.num_reads += 1
        if self.error is not None:
            raise self.error
        return self.num_reads


async def test_whoever_asks_together_shares_one_reading() -> None:
    instrument = Instrument()
    shared = SharedReading(instrument.read, fresh_s=60)
    assert await asyncio.gather(*(shared.get() for _ in range(20))) == [1] * 20
    assert await shared.get() == 1


async def test_a_reading_that_is_no_longer_fresh_is_taken_anew() -> None:
    shared = SharedReading(Instrument().read, fresh_s=-1)
    assert [await shared.get(), await shared.get()] == [1, 2]


async def test_one_who_leaves_takes_it_from_nobody() -> None:
    instrument = Instrument()
    instrument.gate.clear()
    shared = SharedReading(instrument.read)
    leaver, stayer = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    leaver.cancel()
    instrument.gate.set()
    assert await stayer == 1


async def test_a_device_that_does_not_answer_blocks_nobody_and_one_thread() -> None:
    instrument = Instrument()
    instrument.gate.clear()
    shared = SharedReading(instrument.read, patience_s=0.01)
    for _ in range(3):
        with pytest.raises(Unavailable, match="does not answer"):
            await shared.get()
    instrument.gate.set()
    assert await SharedReading(instrument.read).get() <= 2


async def test_a_reading_that_fails_is_told_to_all_and_taken_anew() -> None:
    instrument = Instrument()
    instrument.error = OSError("broken")
    shared = SharedReading(instrument.read, fresh_s=-1)
    for _ in range(2):
        with pytest.raises(OSError, match="broken"):
            await shared.get()
    assert instrument.num_reads == 2
