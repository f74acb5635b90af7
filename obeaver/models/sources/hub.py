"""A model in a repository of the Hugging Face hub."""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from obeaver.errors import FetchError, ModelError
from obeaver.models.exports import variant_of
from obeaver.models.format_choice import num_weights_of
from obeaver.models.names import slug
from obeaver.models.origin import GGUF, HUB, Form, Origin
from obeaver.models.progress import Progress, amount
from obeaver.models.record import tree_sha256
from obeaver.models.sources.address import HubAddress, parse_address
from obeaver.models.sources.hub_choice import Choice, choose, quantisation
from obeaver.models.sources.hub_repo import HubRepo, Listing
from obeaver.models.sources.patience import USUAL_PATIENCE, Patience
from obeaver.models.sources.source import Offer
from obeaver.models.sources.transfer import RemoteFile, download
from obeaver.models.split_files import model_stem

_MIN_COMMIT = 7


@dataclass(frozen=True, slots=True)
class HubSource:
    """What an address of the hub means.

    Attributes:
        address: The repository, its revision and what of it.
        sha256: Of the file, where that was said before.
        patience: How much the hub may fail.
        memory: Bytes that the machine has, which decide between files of one model; None does not count them.
    """

    address: HubAddress
    sha256: str | None = None
    patience: Patience = USUAL_PATIENCE
    memory: int | None = None

    @property
    def asks(self) -> bool:
        """See `Source.asks`."""
        return True

    def gave(self, origin: Origin) -> bool:
        """See `Source.gave`. The same words gave it, or what they were found to mean."""
        if origin.kind != HUB:
            return False
        asked, found = parse_address(origin.asked), parse_address(origin.address)
        if not (isinstance(asked, HubAddress) and isinstance(found, HubAddress)):
            return False
        revision = self.address.revision
        is_commit = (
            revision is not None and len(revision) >= _MIN_COMMIT and (found.revision or "").startswith(revision)
        )
        return (
            found.repo.lower() == self.address.repo.lower()
            and (revision == asked.revision or is_commit)
            and self.address.path in (asked.path, found.path)
        )

    def name_of(self, origin: Origin) -> str:
        """See `Source.name_of`."""
        found = parse_address(origin.address)
        return _name(found.repo, found.path or "") if isinstance(found, HubAddress) else slug(origin.address)

    def offer(self, progress: Progress) -> Offer:
        """See `Source.offer`."""
        repo = HubRepo(self.address.repo, self.address.revision, progress=progress, patience=self.patience)
        listing = repo.listing()
        sizes = {path: file.size_bytes for path, file in listing.files.items()}
        choice = choose(
            listing.repo, sizes, self.address.path, partial(repo.read_json, listing.commit), memory=self.memory
        )
        if choice.form == GGUF:
            _require_known(listing, choice)
        size_bytes = sum(sizes[path] for path in choice.paths)
        sha256 = self._sha256(listing, choice)
        progress.note(_told(listing, choice, size_bytes))
        return Offer(
            form=choice.form,
            key=sha256 or _key(listing, choice),
            sha256=sha256,
            name=_name(listing.repo, choice.base),
            origin=Origin(
                HUB,
                str(self.address),
                str(HubAddress(listing.repo, listing.commit, choice.base or None)),
                listing.commit,
                listing.licence,
            ),
            size_bytes=size_bytes,
            space_bytes=size_bytes,
            is_remote=True,
            is_resumable=True,
            fetch=partial(_fetch, repo, listing, choice),
            num_weights=num_weights_of(size_bytes, quantisation(choice.base)) if choice.form == GGUF else None,
        )

    def _sha256(self, listing: Listing, choice: Choice) -> str | None:
        if choice.form != GGUF:
            if self.sha256 is not None:
                raise ModelError(f"{self.address} is a folder, which has no one hash")
            return None
        digests = {PurePosixPath(path).name: listing.files[path].digest for path in choice.paths}
        if any(digest.algorithm != "sha256" for digest in digests.values()):
            return None
        values = {name: digest.value for name, digest in digests.items()}
        found = next(iter(values.values())) if len(values) == 1 else tree_sha256(values)
        if self.sha256 not in (None, found):
            raise FetchError(
                f"{choice.base} of {listing.repo} is not the file it should be: "
                f"its SHA-256 is {found}, expected {self.sha256}"
            )
        return found


def _require_known(listing: Listing, choice: Choice) -> None:
    """Refuse before gigabytes are fetched what could not be imported after."""
    from obeaver.models.gguf.families import ARCHITECTURES  # here: it loads what reads GGUF files

    found = listing.gguf_architecture
    # A vision model's eye is a GGUF file too, and may be the one that the hub looked into.
    if found not in (None, "clip", *ARCHITECTURES):
        raise ModelError(
            f"{choice.base} of {listing.repo} has the architecture {found!r}, which cannot be imported "
            f"(known: {', '.join(ARCHITECTURES)})"
        )


def _fetch(repo: HubRepo, listing: Listing, choice: Choice, folder: Path, progress: Progress) -> Path:
    files = [_remote(repo, listing, choice, path) for path in choice.paths]
    target = folder / "files"
    download(files, target, repo.manners(), title=f"download {listing.repo}", progress=progress)
    return target / files[0].path if choice.form == GGUF and len(files) == 1 else target


def _remote(repo: HubRepo, listing: Listing, choice: Choice, path: str) -> RemoteFile:
    if choice.form == GGUF:
        return repo.remote(listing, path, PurePosixPath(path).name)
    return repo.remote(listing, path, path.removeprefix(f"{choice.base}/") if choice.base else path)


def _key(listing: Listing, choice: Choice) -> str:
    """The same files have the same key, whatever they are called and whichever commit they were found in."""
    form: Form = choice.form
    lines = [f"{path} {listing.files[path].digest.value}" for path in sorted(choice.paths)]
    return hashlib.sha256("\n".join([form, listing.repo, choice.base, *lines]).encode()).hexdigest()


def _name(repo: str, base: str) -> str:
    """A GGUF file's own name, which tells its quantisation; a folder's with that of its repository."""
    part, name = PurePosixPath(base), repo.rpartition("/")[2]
    if part.suffix.lower() == ".gguf":
        return slug(model_stem(part.name))
    if part.suffix == ".onnx":
        return slug(f"{name}-{variant_of(part.name)}")
    return slug(f"{name}-{part.name}" if base else name)


def _told(listing: Listing, choice: Choice, size_bytes: int) -> str:
    what = f"{choice.base} of {listing.repo}" if choice.base else listing.repo
    because = f" ({choice.reason})" if choice.reason else ""
    return f"{what}, {amount(size_bytes)}, licence: {listing.licence or 'not stated'}{because}"
