"""The part of the prefix cache that outlives the server: the engine's thread asks, two threads wait for the disk.

    engine thread                                     threads of the disk
    write(token_ids, match)    ──────────────────>    writer: blocks that are not there yet, then their age
    num_known(token_ids)       (a set, no disk)
    read(request)              ──────────────────>    reader: part after part, each delivered when it is there

Nothing here makes the engine wait. What is to be written are blocks of the prefix cache, which never change; when the
disk is slower than what comes, what is too much is not written. A read that takes longer than `MAX_READ_S` is over for
who asked for it, and until the disk is heard of again nobody asks.

A disk that is full, or cannot be written or read, costs one line in the log, until it works again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple, Protocol

import numpy as np

from obeaver.engine.prefix_disk.block_files import BLOCK_TOKENS, block_keys
from obeaver.engine.prefix_disk.block_folder import BlockFolder
from obeaver.engine.runners.runner import KvBlock, KvLayout

logger = logging.getLogger(__name__)

MAX_READ_S: Final = 5.0
"""A prompt that needs its beginning waits for the disk no longer than this."""

PART_TOKENS: Final = 4 * BLOCK_TOKENS
"""Tokens that are delivered at once: who takes them copies them between two steps of running streams."""

_CLOSE_S: Final = 5.0


class Blocks(Protocol):
    """Keys and values of a prompt's beginning, in memory."""

    @property
    def num_tokens(self) -> int:
        """How many tokens."""

    def blocks(self) -> Iterator[tuple[int, KvBlock]]:
        """Pairs of (place of the first token, block), in order; none of them ever changes."""


class ReadRequest(NamedTuple):
    """Tokens start to stop-1 of a prompt are wanted.

    Attributes:
        sequence_id: Whose prompt it is.
        token_ids: From the prompt's first to the last that is wanted.
        start: What lies before is known.
    """

    sequence_id: int
    token_ids: tuple[int, ...]
    start: int


class Part(NamedTuple):
    """What was read of a request.

    Attributes:
        sequence_id: Whose prompt it is.
        token_ids: From the prompt's first to the last of this part.
        start: Place of the part's first token.
        block: Their keys and values.
    """

    sequence_id: int
    token_ids: tuple[int, ...]
    start: int
    block: KvBlock

    def places(self, start: int, stop: int) -> KvBlock:
        """Keys and values of these places, none of them before the part's own; never a view of a larger array."""
        if (start, stop) == (self.start, len(self.token_ids)):
            return self.block
        return self.block[:, :, :, start - self.start : stop - self.start].copy()


class ReadEnded(NamedTuple):
    """Nothing more will come for a request, or only too late."""

    sequence_id: int


class DiskStats(NamedTuple):
    """How the disk's part stands, and what was done since the start.

    Attributes:
        budget_bytes: Most bytes of files; 0: there is no such part.
        used_bytes: Bytes of files, those of other models among them.
        read_tokens: Tokens whose keys and values were read.
        written_tokens: The same for written.
        skipped_tokens: Tokens that were not written because the disk was behind.
        failures: Times that the disk refused.
    """

    budget_bytes: int = 0
    used_bytes: int = 0
    read_tokens: int = 0
    written_tokens: int = 0
    skipped_tokens: int = 0
    failures: int = 0


class PrefixDisk:
    """See the module. Everything but `stats` belongs to the engine's thread; making one looks at all that is there.

    Args:
        folder: Where the blocks are.
        origin: Digest of whatever computes them, as the folder has it.
        layout: Of the blocks.
        max_unwritten_bytes: Most bytes of keys and values that wait to be written; one prompt may always wait.
        clock: Seconds, monotonic.
        max_read_s: As `MAX_READ_S`.
    """

    def __init__(
        self,
        folder: Path,
        origin: bytes,
        layout: KvLayout,
        *,
        budget_bytes: int,
        max_unwritten_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        max_read_s: float = MAX_READ_S,
    ) -> None:
        self._folder = BlockFolder(folder, origin, layout, budget_bytes)
        self._path = folder
        self._origin = origin
        self._layout = layout
        self._token_bytes = self._folder.files.file_bytes // BLOCK_TOKENS
        self._max_unwritten = max_unwritten_bytes // self._token_bytes
        self._clock = clock
        self._max_read_s = max_read_s
        self._writer, self._reader = _Lane("prefix cache writer"), _Lane("prefix cache reader")
        self._asked_s: float | None = None
        # Each of these is written by one thread alone.
        self._offered = self._settled = self._skipped = 0
        self._written = self._read = 0
        self._writing, self._reading = _Complaints("written"), _Complaints("read")
        self._look()

    def num_known(self, token_ids: tuple[int, ...]) -> int:
        """How many of these tokens, from the first on, could be read."""
        if self._asked_s is not None and self._clock() - self._asked_s > self._max_read_s:
            return 0
        known = 0
        for key in block_keys(self._origin, token_ids):
            if not self._folder.knows(key):
                break
            known += BLOCK_TOKENS
        return known

    def read(self, request: ReadRequest, deliver: Callable[[Part | ReadEnded], None]) -> None:
        """Read what is there of a request. Its parts and, in time, its end are delivered by other threads."""
        self._asked_s = self._clock()
        end = ReadEnded(request.sequence_id)
        limit = threading.Timer(self._max_read_s, deliver, (end,))
        limit.daemon = True
        limit.start()

        def work() -> None:
            try:
                for part in self._parts(request):
                    deliver(part)
                self._reading.end()
            except OSError as error:
                self._reading.add(self._path, error)
            finally:
                self._asked_s = None
                limit.cancel()
                deliver(end)

        self._reader.put(work)

    def write(self, token_ids: tuple[int, ...], known: Blocks) -> None:
        """Store what is known of a prompt, as far as it is not stored, and note that it was used."""
        num_tokens = known.num_tokens // BLOCK_TOKENS * BLOCK_TOKENS
        if not num_tokens:
            return
        unwritten = self._offered - self._settled
        if unwritten and unwritten + num_tokens > self._max_unwritten:
            self._skipped += num_tokens - self.num_known(token_ids[:num_tokens])
            return
        self._offered += num_tokens

        def work() -> None:
            try:
                self._write(token_ids[:num_tokens], known)
                self._writing.end()
            except OSError as error:
                self._writing.add(self._path, error)
            finally:
                self._settled += num_tokens

        self._writer.put(work)

    def stats(self) -> DiskStats:
        """How things stand. Any thread may ask."""
        return DiskStats(
            self._folder.budget_bytes,
            self._folder.used_bytes,
            self._read,
            self._written,
            self._skipped,
            self._writing.count + self._reading.count,
        )

    def close(self) -> None:
        """Finish writing, unless the disk takes too long. Idempotent."""
        self._reader.close(0)
        self._writer.close(_CLOSE_S)

    def _look(self) -> None:
        """Know what is there before the first prompt comes."""
        try:
            self._folder.look()
        except OSError as error:
            self._reading.add(self._path, error)

    def _write(self, token_ids: tuple[int, ...], known: Blocks) -> None:
        keys = list(block_keys(self._origin, token_ids))
        for place, key in enumerate(keys):
            if self._folder.knows(key):
                continue
            start = place * BLOCK_TOKENS
            if not self._folder.write(key, _gathered(known, start, start + BLOCK_TOKENS)):
                break
            self._written += BLOCK_TOKENS
        self._folder.files.touch(keys, time.time_ns())

    def _parts(self, request: ReadRequest) -> Iterator[Part]:
        keys = list(block_keys(self._origin, request.token_ids))
        place = request.start
        while place // BLOCK_TOKENS < len(keys):
            stop = min((place // PART_TOKENS + 1) * PART_TOKENS, len(keys) * BLOCK_TOKENS)
            part = self._part(keys, request, place, stop)
            if not part.block.size:
                break
            yield part
            self._read += len(part.token_ids) - place
            if len(part.token_ids) < stop:
                break
            place = stop
        self._folder.files.touch(keys, time.time_ns())

    def _part(self, keys: list[str], request: ReadRequest, start: int, stop: int) -> Part:
        """What is there of these places."""
        block = np.empty(self._layout.block_shape(stop - start), self._layout.dtype)
        place = start
        while place < stop:
            number, offset = divmod(place, BLOCK_TOKENS)
            found = self._folder.read(keys[number])
            if found is None:
                break
            count = BLOCK_TOKENS - offset
            block[:, :, :, place - start : place - start + count] = found[:, :, :, offset:]
            place += count
        if place < stop:
            block = block[:, :, :, : place - start].copy()
        return Part(request.sequence_id, request.token_ids[:place], start, block)


def _gathered(known: Blocks, start: int, stop: int) -> KvBlock:
    """Keys and values of these places, out of blocks that may begin and end anywhere."""
    pieces = []
    for place, block in known.blocks():
        first, last = max(start, place), min(stop, place + block.shape[3])
        if first < last:
            pieces.append(block[:, :, :, first - place : last - place])
    return np.concatenate(pieces, axis=3)


class _Complaints:
    """Refusals of one kind: counted, and logged once until it works again."""

    def __init__(self, what: str) -> None:
        self.count = 0
        self._what = what
        self._is_refused = False

    def add(self, path: Path, error: OSError) -> None:
        self.count += 1
        if not self._is_refused:
            reason = error.strerror or error
            logger.warning("the prefix cache in %s cannot be %s: %s; serving goes on", path, self._what, reason)
        self._is_refused = True

    def end(self) -> None:
        if self._is_refused:
            logger.info("the prefix cache is %s again", self._what)
        self._is_refused = False


class _Lane:
    """A thread that does one piece of work after the other.

    A daemon, so that a disk that hangs cannot keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def put(self, work: Callable[[], None]) -> None:
        self._work.put(work)

    def close(self, timeout_s: float) -> None:
        self._work.put(None)
        self._thread.join(timeout_s)

    def _main(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:
                logger.exception("the prefix cache on the disk met what nobody expected")
