"""A GGUF file on the web, with its hash or without."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from obeaver import __version__
from obeaver.errors import FetchError, ModelError
from obeaver.models.format_choice import num_weights_of
from obeaver.models.names import slug
from obeaver.models.origin import GGUF, URL, Origin
from obeaver.models.progress import Progress, amount
from obeaver.models.sources.address import UrlAddress
from obeaver.models.sources.digest import Digest
from obeaver.models.sources.hub_choice import quantisation
from obeaver.models.sources.patience import USUAL_PATIENCE, Patience, insist
from obeaver.models.sources.source import Offer
from obeaver.models.sources.transfer import Manners, RemoteFile, check_status, download, transport_failures
from obeaver.models.split_files import part_names

_MAGIC = b"GGUF"
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class WebFile:
    """One file behind a URL.

    Attributes:
        address: The URL and what the file must have.
        size_bytes: What it must have, where that was said before.
        patience: How much the server may fail.
    """

    address: UrlAddress
    size_bytes: int | None = None
    patience: Patience = USUAL_PATIENCE

    @property
    def sha256(self) -> str | None:
        """See `Source.sha256`."""
        return self.address.sha256

    @property
    def asks(self) -> bool:
        """See `Source.asks`."""
        return True

    def gave(self, origin: Origin) -> bool:
        """See `Source.gave`. With a hash, it is the hash that tells."""
        return origin.kind == URL and self.sha256 is None and origin.address == self.address.url

    def name_of(self, origin: Origin) -> str:  # noqa: ARG002
        """See `Source.name_of`."""
        return self._name()

    def offer(self, progress: Progress) -> Offer:
        """See `Source.offer`."""
        name = self.address.file_name
        parts = part_names(name)
        if len(parts) > 1:
            raise ModelError(
                f"{self.address.url} is one of {len(parts)} parts of a model: fetch all into a folder and give that, "
                "or the hub's address of the repository (hf:ORG/REPO)"
            )
        seen = insist(self._seen, self.patience, what=self.address.url, progress=progress)
        if self.size_bytes not in (None, seen.size_bytes):
            raise FetchError(f"{self.address.url} has {seen.size_bytes} bytes instead of {self.size_bytes}")
        file = RemoteFile(
            name if name.lower().endswith(".gguf") else "source.gguf",
            self.address.url,
            seen.size_bytes,
            Digest("sha256", self.sha256) if self.sha256 else None,
            seen.validator,
        )
        progress.note(f"{name or self.address.url}, {amount(seen.size_bytes)}")
        return Offer(
            form=GGUF,
            key=self.sha256 or hashlib.sha256(f"{self.address.url}\n{seen}".encode()).hexdigest(),
            sha256=self.sha256,
            name=self._name(),
            origin=Origin(URL, str(self.address), self.address.url),
            size_bytes=seen.size_bytes,
            space_bytes=seen.size_bytes,
            is_remote=True,
            is_resumable=self.sha256 is not None or seen.validator is not None,
            fetch=partial(_fetch, file, self._manners()),
            num_weights=num_weights_of(seen.size_bytes, quantisation(name)),
        )

    def _name(self) -> str:
        return slug(PurePosixPath(self.address.file_name).stem)

    def _manners(self) -> Manners:
        return Manners({"User-Agent": f"obeaver/{__version__}"}, self._refusal, self.patience)

    def _refusal(self, status: int, headers: Mapping[str, str]) -> str:  # noqa: ARG002
        host = urlsplit(self.address.url).hostname
        if status in (404, 410):
            return f"{host} has no file {self.address.url}"
        if status in (401, 403):
            return f"{host} refuses {self.address.url} (status {status}): it may need a login, which a URL cannot give"
        return f"{host} answers {self.address.url} with status {status}"

    def _seen(self) -> "_Seen":
        """The beginning of an answer tells size, version and kind; many servers refuse HEAD."""
        import httpx2

        headers = {**self._manners().headers, "Accept-Encoding": "identity"}
        with (
            transport_failures(),
            httpx2.Client(follow_redirects=True, timeout=_ANSWER_S) as client,
            client.stream("GET", self.address.url, headers=headers) as response,
        ):
            check_status(response, self._refusal)
            length = response.headers.get("content-length", "")
            if not length.isdigit():
                raise FetchError(f"{self.address.url}: the server does not say how large it is")
            begin = b""
            for piece in response.iter_raw():
                begin += piece
                if len(begin) >= len(_MAGIC):
                    break
        if not begin.startswith(_MAGIC):
            raise ModelError(f"{self.address.url} is not a GGUF file")
        return _Seen(int(length), _validator(response.headers))


@dataclass(frozen=True, slots=True)
class _Seen:
    size_bytes: int
    validator: str | None


def _validator(headers: Mapping[str, str]) -> str | None:
    """What `If-Range` may hold: a strong ETag, else the date of the last change (RFC 9110, 13.1.5)."""
    etag = headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("last-modified")


def _fetch(file: RemoteFile, manners: Manners, folder: Path, progress: Progress) -> Path:
    download([file], folder / "files", manners, title=f"download {file.path}", progress=progress)
    return folder / "files" / file.path
