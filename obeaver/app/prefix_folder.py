"""The prefix cache's folder on the disk: what decides that keys and values computed then are those computed now.

Whoever computes the same tokens with the same weights, graph, format, runtime, threads and kind of processor, driven by
the same code, gets the same keys and values, to the bit. All of this goes into one digest, so that what was computed
otherwise has other names, and is never found.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from obeaver import models
from obeaver.app.memory import MB
from obeaver.config import Settings
from obeaver.engine import runners, sessions
from obeaver.engine.prefix_disk.prefix_disk import PrefixDisk
from obeaver.engine.runners.runner import RunnerInfo
from obeaver.processor import description

_WORDS: Final = frozenset({".json", ".jinja", ".txt", ".md", ".model"})
"""Files that decide what a text becomes, and not what its tokens become."""

_CODE: Final = (
    *(Path(room.__file__).parent for room in (runners, sessions) if room.__file__),
    *(Path(room.__file__).parent / "gguf" for room in (models,) if room.__file__),
)
"""What prepares graphs and runs them. A number for its version would have to be remembered with each change."""

_MAX_UNWRITTEN_SHARE: Final = 4
"""One part in so many of the prefix cache's memory may wait to be written."""


def open_prefix_disk(settings: Settings, model: Path, info: RunnerInfo, prefix_bytes: int) -> PrefixDisk | None:
    """What keeps the prefix cache of a model on the disk; None where nobody wants it, or it cannot be copied.

    Takes a second for each gigabyte of the model.

    Args:
        settings: Which folder, and how much of it.
        model: The model's folder.
        info: What runs it.
        prefix_bytes: Memory of its prefix cache.

    Raises:
        OSError: The model cannot be read.
    """
    if not settings.prefix_cache_dir or info.kv_layout is None:
        return None
    return PrefixDisk(
        Path(settings.prefix_cache_dir).expanduser(),
        kv_origin(model, info),
        info.kv_layout,
        budget_bytes=int(settings.prefix_cache_disk_mb * MB),
        max_unwritten_bytes=prefix_bytes // _MAX_UNWRITTEN_SHARE,
    )


def kv_origin(model: Path, info: RunnerInfo, code: Iterable[Path] = _CODE) -> bytes:
    """Digest of all that keys and values depend on beside the tokens.

    Args:
        model: The model's folder.
        info: What runs it; its label names runtime, provider, threads and format.
        code: Folders of the code that does.

    Raises:
        OSError: The model cannot be read.
    """
    whole = hashlib.blake2b(digest_size=32)
    sources = itertools.chain.from_iterable(_contents(folder, "*.py") for folder in code)
    for part in (info.label, repr(info.kv_layout), description(), *sources, *_contents(model)):
        whole.update(hashlib.blake2b(part.encode()).digest())
    return whole.digest()


def _contents(folder: Path, pattern: str = "*") -> Iterator[str]:
    """Name and digest of each file that takes part in computing."""
    for path in sorted(path for path in folder.rglob(pattern) if path.is_file()):
        if path.suffix not in _WORDS:
            with path.open("rb") as file:
                yield f"{path.relative_to(folder).as_posix()} {hashlib.file_digest(file, 'blake2b').hexdigest()}"
