"""Where a checkpoint is that `obeaver convert` is told to convert: a folder, or a repository of the hub."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from obeaver.errors import FetchError, ModelError
from obeaver.models.convert import Checkpoint, local_checkpoint, require_checkpoint, require_decoder
from obeaver.models.origin import HUB, Origin
from obeaver.models.progress import Progress, amount
from obeaver.models.sources.address import HubAddress, is_address, parse_address
from obeaver.models.sources.hub_repo import HubRepo, Listing
from obeaver.models.sources.transfer import download
from obeaver.models.store import Store

_REPO: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[^:\s]+)?")
_CONFIG: Final = "config.json"
_WANTED: Final = ("*.json", "*.jinja", "*.model", "vocab.txt", "merges.txt", "*.safetensors")
# A second copy of the weights, for another program.
_UNWANTED: Final = ("consolidated*.safetensors",)


def find_checkpoint(source: str, store: Store, *, progress: Progress, offline: bool = False) -> Checkpoint:
    """Find what is to be converted. Nothing large is fetched yet.

    Args:
        source: A folder, `ORG/REPO[@REVISION]`, or an address of the hub.
        store: Where its files go on their way.
        progress: Sees the fetch.
        offline: Never reach out.

    Raises:
        ModelError: There is no such thing, or it needs no conversion.
        FetchError: The hub cannot be reached or refuses, or this is offline.
    """
    folder = Path(source).expanduser()
    if folder.is_dir() or not (is_address(source) or _REPO.fullmatch(source)):
        return local_checkpoint(folder, store, progress=progress)
    address = parse_address(source if is_address(source) else f"hf:{source}")
    if not isinstance(address, HubAddress) or address.path is not None:
        raise ModelError(f"{source} is no repository: give a folder or ORG/REPO[@REVISION]")
    if offline:
        raise FetchError(f"{source} would have to be fetched, but this is offline")
    return _hub_checkpoint(address, store, progress)


def _hub_checkpoint(address: HubAddress, store: Store, progress: Progress) -> Checkpoint:
    repo = HubRepo(address.repo, address.revision, progress=progress)
    listing = repo.listing()
    paths = _paths(listing)
    config = repo.read_json(listing.commit, _CONFIG)
    require_decoder(config if isinstance(config, dict) else {}, f"hf:{listing.repo}")
    size_bytes = sum(listing.files[path].size_bytes for path in paths)
    progress.note(f"{listing.repo}, {amount(size_bytes)}, licence: {listing.licence or 'not stated'}")
    key = _key(listing, paths)

    @contextmanager
    def at_hand() -> Iterator[Path]:
        def on_wait() -> None:
            progress.note(f"waiting for another process that fetches {listing.repo}")

        with store.sources.downloading(key, on_wait=on_wait):
            needed_bytes = size_bytes - store.sources.fetched_bytes(key)
            store.require_space(max(0, needed_bytes), purpose=f"fetching {listing.repo}")
            with store.sources.work_folder(key, is_resumable=True) as work:
                folder = work / "files"
                files = [repo.remote(listing, path, path) for path in paths]
                download(files, folder, repo.manners(), title=f"download {listing.repo}", progress=progress)
                require_checkpoint(folder)
                yield folder

    exact = str(HubAddress(listing.repo, listing.commit))
    origin = Origin(HUB, str(address), exact, listing.commit, listing.licence)
    return Checkpoint(listing.repo.rpartition("/")[2], f"hf:{listing.repo}", key, origin, at_hand)


def _paths(listing: Listing) -> list[str]:
    """Files at the top of the repository; what lies deeper belongs to other programs.

    Raises:
        ModelError: It holds no checkpoint.
    """
    top = sorted(path for path in listing.files if "/" not in path)
    paths = [path for path in top if _fits(path, _WANTED) and not _fits(path, _UNWANTED)]
    if _CONFIG not in paths or not any(path.endswith(".safetensors") for path in paths):
        raise ModelError(f"{listing.repo} holds no checkpoint: it has no {_CONFIG} with *.safetensors")
    return paths


def _fits(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _key(listing: Listing, paths: Sequence[str]) -> str:
    """The same files have the same key."""
    lines = [f"{path} {listing.files[path].digest.value}" for path in paths]
    return hashlib.sha256("\n".join(["checkpoint", listing.repo, *lines]).encode()).hexdigest()
