"""Blocks of keys and values as files of one model: each file one block, its name everything that decides what is in it.

A block holds `BLOCK_TOKENS` tokens. Keys and values depend on every token before, so a block's key is a digest of the
key before it and of its own tokens; the first follows from the *origin*: a digest of whatever computes (weights,
formats, runtime). Who has a prompt can say which files would hold its beginning, nobody needs an index that could
disagree with them, and what two conversations share is stored once.

A file is written aside and renamed, and carries a digest of its contents under its key. So a process may be killed at
any moment, and several may use one folder: a file is whole or not there, and one that is neither, because the power
failed or because somebody else wrote it, is found out when it is read, and removed.
"""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from obeaver.engine.runners.runner import KvBlock, KvLayout

BLOCK_TOKENS: Final = 64
"""Of a prompt whose beginning is stored, half as many are computed again on average: 35 ms with a model of 135 million
parameters on two cores. Smaller blocks make more files: with this one, a block of that model has 0.7 MB."""

SUFFIX: Final = ".kv"
PARTIAL: Final = ".partial"

_MAGIC: Final = b"obeaver kv 1\n\0\0\0"
_DIGEST_BYTES: Final = 32
_HEAD_BYTES: Final = len(_MAGIC) + _DIGEST_BYTES
# A link is no file of ours, and what waits for a writer (a pipe) is not waited for. Windows has neither flag.
_READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_PRIVATE: Final = 0o600


def block_keys(origin: bytes, token_ids: Sequence[int]) -> Iterator[str]:
    """Keys of the whole blocks of these tokens, in order; the same for the same tokens computed by the same means."""
    key = origin
    for stop in range(BLOCK_TOKENS, len(token_ids) + 1, BLOCK_TOKENS):
        ids = np.array(token_ids[stop - BLOCK_TOKENS : stop], "<i8")
        key = hashlib.blake2b(key + ids.tobytes(), digest_size=_DIGEST_BYTES).digest()
        yield key.hex()


class BlockFiles:
    """The files of one model.

    Args:
        folder: Where they are; made with the first of them.
        layout: Of the blocks.
    """

    def __init__(self, folder: Path, layout: KvLayout) -> None:
        self.folder = folder
        self._shape = layout.block_shape(BLOCK_TOKENS)
        self._dtype = np.dtype(layout.dtype)
        self._payload_bytes = int(np.prod(self._shape)) * self._dtype.itemsize

    @property
    def file_bytes(self) -> int:
        """Size of each file."""
        return _HEAD_BYTES + self._payload_bytes

    def read(self, key: str) -> KvBlock | None:
        """The block of this key, [num_layers, 2, num_kv_heads, BLOCK_TOKENS, head_dim]; None where there is none.

        A file that is not what was written under this key is removed.

        Raises:
            OSError: It cannot be read, or not be removed.
        """
        path = self._path(key)
        try:
            data = self._bytes(path)
        except FileNotFoundError:
            return None
        payload = memoryview(data)[_HEAD_BYTES:]
        if len(payload) != self._payload_bytes or bytes(data[:_HEAD_BYTES]) != _head(key, payload):
            remove(path)
            return None
        return np.frombuffer(payload, self._dtype).reshape(self._shape)

    def write(self, key: str, block: KvBlock) -> None:
        """Store a block under its key.

        Raises:
            OSError: It cannot be stored; nothing is left of it.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        payload = np.ascontiguousarray(block).data.cast("B")
        path = self._path(key)
        partial = path.with_name(f"{key}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
        try:
            with os.fdopen(os.open(partial, _WRITE, _PRIVATE), "wb") as file:
                file.write(_head(key, payload))
                file.write(payload)
            partial.replace(path)
        except Exception:
            with suppress(OSError):
                partial.unlink()
            raise

    def touch(self, keys: Iterable[str], now_ns: int) -> None:
        """Blocks of one prompt, in order, were used: each becomes younger than those that follow it.

        What is gone, or on a disk that cannot be written, stays as it is.
        """
        for place, key in enumerate(keys):
            with suppress(OSError):
                os.utime(self._path(key), ns=(now_ns - place, now_ns - place))

    def is_private(self) -> bool:
        """Whether the folder is this user's, and nobody else's; one that is not there yet will be."""
        try:
            found = self.folder.lstat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if not stat.S_ISDIR(found.st_mode):
            return False
        return not hasattr(os, "geteuid") or (found.st_uid == os.geteuid() and not found.st_mode & 0o077)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"

    def _bytes(self, path: Path) -> bytearray:
        """What stands in a file of the right size; nothing where it has another, or is no file."""
        try:
            descriptor = os.open(path, _READ)
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link
                return bytearray()
            raise
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size != self.file_bytes:
                return bytearray()
            data = bytearray(self.file_bytes)
            return data if file.readinto(data) == len(data) else bytearray()


def remove(path: Path) -> None:
    """Remove a file; somebody else may have done it.

    Raises:
        OSError: It stays.
    """
    path.unlink(missing_ok=True)


def _head(key: str, payload: memoryview) -> bytes:
    digest = hashlib.blake2b(payload, digest_size=_DIGEST_BYTES, key=bytes.fromhex(key)).digest()
    return _MAGIC + digest
