"""A folder on this machine as transformers.js has them. The store gets its files by link, and the one that it lacks.

A link shares the content with the file that it was made from, and holds it when that is removed. Where the store is on
another disk, files are copied.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from obeaver.models.exports import files_beside, genai_config, variant_of
from obeaver.models.names import name_from
from obeaver.models.origin import FOLDER, LOCAL, Origin
from obeaver.models.progress import Progress
from obeaver.models.sources.source import Offer


@dataclass(frozen=True, slots=True)
class ExportedSource:
    """One graph of such a folder, with what is beside it.

    Attributes:
        folder: The folder.
        graph: In it or below.
        files: All that is served, relative to the folder.
        state: Digest of their sizes and times: what has changed is another model.
        size_bytes: Of them all.
        space_bytes: What they take in the store beyond that.
    """

    folder: Path
    graph: Path
    files: tuple[str, ...]
    state: str
    size_bytes: int
    space_bytes: int

    @classmethod
    def of(cls, folder: Path, graph: Path, home: Path) -> Self:
        """Look at the folder.

        Args:
            folder: The folder.
            graph: The one of its graphs that is meant.
            home: Where the store is.
        """
        folder, graph = folder.absolute(), graph.absolute()
        names = [path.relative_to(folder).as_posix() for place in {folder, graph.parent} for path in place.iterdir()]
        files = tuple(sorted(files_beside(graph.relative_to(folder).as_posix(), names)))
        stats = {name: (folder / name).stat() for name in files}
        lines = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats.items()]
        size_bytes = sum(stat.st_size for stat in stats.values())
        is_near = home.exists() and home.stat().st_dev == graph.stat().st_dev
        state = hashlib.sha256("\n".join([str(folder), *lines]).encode("utf-8", "surrogateescape")).hexdigest()
        return cls(folder, graph, files, state, size_bytes, 0 if is_near else size_bytes)

    @property
    def sha256(self) -> str | None:
        """See `Source.sha256`: gigabytes are not read to find out."""
        return None

    @property
    def asks(self) -> bool:
        """See `Source.asks`."""
        return False

    @property
    def origin(self) -> Origin:
        """Where it is, and as what."""
        return Origin(LOCAL, str(self.graph), str(self.graph), self.state)

    def gave(self, origin: Origin) -> bool:
        """See `Source.gave`."""
        return origin == self.origin

    def name_of(self, origin: Origin) -> str:  # noqa: ARG002
        """See `Source.name_of`."""
        return name_from(f"{self.folder.name}-{variant_of(self.graph.name)}", self.state[:8])

    def offer(self, progress: Progress) -> Offer:  # noqa: ARG002
        """See `Source.offer`."""
        genai_config(self.folder, self.graph)  # refused before anything is copied
        return Offer(
            form=FOLDER,
            key=self.state,
            sha256=None,
            name=self.name_of(self.origin),
            origin=self.origin,
            size_bytes=self.size_bytes,
            space_bytes=self.space_bytes,
            is_remote=False,
            is_resumable=False,
            fetch=self._fetch,
        )

    def _fetch(self, work: Path, progress: Progress) -> Path:  # noqa: ARG002
        target = work / "files"
        for name in self.files:
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            # What a link of a hub's cache leads to, not the link.
            source = (self.folder / name).resolve()
            try:
                os.link(source, place)
            except OSError:
                shutil.copyfile(source, place)
        return target
