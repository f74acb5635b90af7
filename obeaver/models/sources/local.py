"""A GGUF file on this machine. It stays where it is; the store holds what is made from it.

Its hash is its identity, and hashing some gigabytes at each start would be felt. So the hash is remembered in the
store, by path, size and time of the last change.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from obeaver.errors import ModelError
from obeaver.models.names import name_from
from obeaver.models.origin import GGUF, LOCAL, Form, Origin
from obeaver.models.progress import Progress
from obeaver.models.record import sha256_of, tree_sha256
from obeaver.models.sources.source import Offer
from obeaver.models.split_files import gguf_sha256, model_stem, parts_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file that needs no fetching."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A file or a folder that stays where it is.

    Attributes:
        path: Where that is.
        form: What it is.
        sha256: Of its content.
        size_bytes: Of all files that count.
        label: What a person would call it, where the path does not tell.
    """

    path: Path
    form: Form
    sha256: str
    size_bytes: int
    label: str | None = None

    @property
    def asks(self) -> bool:
        """See `Source.asks`."""
        return False

    @property
    def name(self) -> str:
        """What a model of it is called: files of one name differ in content, so the hash is part of it."""
        if self.label is not None:
            return name_from(self.label, self.sha256[:8])
        return name_from(model_stem(self.path.name) if self.path.is_file() else self.path.name, self.sha256[:8])

    def gave(self, origin: Origin) -> bool:  # noqa: ARG002
        """See `Source.gave`: the hash tells."""
        return False

    def name_of(self, origin: Origin) -> str:  # noqa: ARG002
        """See `Source.name_of`."""
        return self.name

    def offer(self, progress: Progress) -> Offer:  # noqa: ARG002
        """See `Source.offer`."""
        return Offer(
            form=self.form,
            key=self.sha256,
            sha256=self.sha256,
            name=self.name,
            origin=Origin(LOCAL, str(self.path), str(self.path)),
            size_bytes=self.size_bytes,
            space_bytes=0,
            is_remote=False,
            is_resumable=False,
            fetch=lambda folder, progress: self.path,  # noqa: ARG005
        )


def open_gguf(path: Path, known: Path, *, progress: Progress) -> LocalSource:
    """Identify a GGUF file, or all parts of the model that it belongs to.

    Args:
        path: The file, or any part.
        known: As for `open_local`.
        progress: As for `open_local`.

    Raises:
        ModelError: A file cannot be read, or a part is missing.
    """
    parts = {part: open_local(part, known, progress=progress) for part in parts_of(path)}
    sha256 = gguf_sha256(path, lambda part: parts[part].sha256)
    return LocalSource(next(iter(parts)).absolute(), GGUF, sha256, sum(part.size_bytes for part in parts.values()))


def open_local(path: Path, known: Path, *, progress: Progress) -> LocalFile:
    """Identify a file by its content.

    Args:
        path: The file.
        known: Folder with what is remembered about files; made when missing.
        progress: Told when the file has to be read.

    Raises:
        ModelError: The file cannot be read.
    """
    try:
        path = path.resolve()
        stat = path.stat()
        identity = {"path": str(path), "size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        memory = known / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
        sha256 = _recall(memory, identity)
        if sha256 is None:
            progress.note(f"reading {path.name}")
            sha256 = sha256_of(path)
            _remember(memory, {**identity, "sha256": sha256})
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    return LocalFile(path, sha256, stat.st_size)


def open_local_folder(folder: Path, files: Sequence[Path], known: Path, *, progress: Progress) -> str:
    """Identify some files of a folder by their content.

    Args:
        folder: The folder.
        files: Those that count, all inside it.
        known: As for `open_local`.
        progress: As for `open_local`.

    Returns:
        Their hash, as `record.tree_sha256` makes it.

    Raises:
        ModelError: A file cannot be read.
    """
    return tree_sha256(
        {path.relative_to(folder).as_posix(): open_local(path, known, progress=progress).sha256 for path in files}
    )


def _recall(memory: Path, identity: dict[str, object]) -> str | None:
    try:
        data = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or not isinstance(sha256 := data.pop("sha256", None), str):
        return None
    return sha256 if data == identity else None


def _remember(memory: Path, data: dict[str, object]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        partial = memory.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(data), encoding="utf-8")
        partial.replace(memory)
    except OSError as error:  # the hash will be computed again
        logger.info("cannot remember the hash of %s: %s", data["path"], error)
