"""Files over HTTP: several at once, resumed where they stopped, checked by their hash.

A file grows as `NAME.part` and gets its name when it is complete and right, so a process may be killed at any time. The
next one hashes what is there and asks for the rest. huggingface_hub's own download begins anew after a kill, and
compares sizes alone: that is why hub files come this way too.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from obeaver.errors import FetchError
from obeaver.models.progress import Progress, Stage
from obeaver.models.sources.digest import Digest, feed
from obeaver.models.sources.patience import RETRIED, USUAL_PATIENCE, Failed, Patience, asked_wait_s

if TYPE_CHECKING:
    import httpx2

PARALLEL: Final = 4
_CONNECT_S: Final = 15.0
_SILENCE_S: Final = 60.0
_PART: Final = ".part"

Refusal = Callable[[int, Mapping[str, str]], str]
"""From a status and headers to a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file to fetch.

    Attributes:
        path: Where it goes, below the folder, with forward slashes.
        url: Where it is. Redirects are followed; credentials do not go with them to another host.
        size_bytes: What it must have.
        digest: What it must have, where that is known.
        validator: Its ETag or date: what is there is only added to while the server still has that version. Not needed
            where the URL or the digest says which version is meant.
    """

    path: str
    url: str
    size_bytes: int
    digest: Digest | None = None
    validator: str | None = None


@dataclass(frozen=True, slots=True)
class Manners:
    """How a server is spoken to.

    Attributes:
        headers: Sent with each request.
        refusal: Words its refusals.
        patience: How much it may fail.
    """

    headers: Mapping[str, str]
    refusal: Refusal
    patience: Patience = USUAL_PATIENCE


def download(files: Sequence[RemoteFile], folder: Path, manners: Manners, *, title: str, progress: Progress) -> None:
    """Fetch files into a folder; what an earlier call left there is used.

    Args:
        files: What to fetch.
        folder: Where to.
        manners: How the server is spoken to.
        title: Of the progress stage.
        progress: Sees all bytes, those that were there included.

    Raises:
        FetchError: A file cannot be had, or is another one. What is there stays, to go on from.
        OSError: The disk refuses.
    """
    downloads = [_Download(file, folder, manners, progress) for file in files]
    total = sum(file.size_bytes for file in files)
    with progress.stage(title, total, done=sum(each.position for each in downloads)) as stage:
        try:
            asyncio.run(_run(downloads, stage))
        except BaseExceptionGroup as group:
            raise _first(group) from None


async def _run(downloads: Sequence["_Download"], stage: Stage) -> None:
    places = asyncio.Semaphore(PARALLEL)
    async with client() as shared, asyncio.TaskGroup() as tasks:
        for each in sorted(downloads, key=lambda download: -download.file.size_bytes):
            tasks.create_task(each.run(shared, stage, places))


def client() -> "httpx2.AsyncClient":
    """A client that follows redirects and knows the environment's proxies and certificates."""
    import httpx2  # here: a start that finds its model needs no network

    return httpx2.AsyncClient(follow_redirects=True, timeout=httpx2.Timeout(_SILENCE_S, connect=_CONNECT_S))


@contextmanager
def transport_failures() -> Iterator[None]:
    """Turn what the HTTP client raises into `Failed` or, where another try would be the same, `FetchError`."""
    import httpx2

    try:
        yield
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.TooManyRedirects) as error:
        raise FetchError(str(error)) from None
    except httpx2.TimeoutException:
        raise Failed("the server does not answer") from None
    except httpx2.RequestError as error:
        raise Failed(_reason(error)) from None


def check_status(response: "httpx2.Response", refusal: Refusal, *, accepted: Sequence[int] = (200,)) -> None:
    """See that an answer is one.

    Raises:
        Failed: Another try may succeed.
        FetchError: It will not.
    """
    status = response.status_code
    if status in accepted:
        return
    if status in RETRIED:
        asked_s = asked_wait_s(response.headers, datetime.now(UTC))
        raise Failed(_words(status, asked_s), asked_s)
    raise FetchError(refusal(status, response.headers))


class _Download:
    """One file on its way."""

    def __init__(self, file: RemoteFile, folder: Path, manners: Manners, progress: Progress) -> None:
        self.file = file
        self._target = folder / file.path
        self._part = self._target.with_name(self._target.name + _PART)
        self._manners = manners
        self._progress = progress
        self._digest = file.digest or Digest("sha256", "")
        self._hasher = self._digest.hasher(file.size_bytes)
        if self._target.exists():  # complete and right when it got its name; looked at again before it is used
            self._target.replace(self._part)
        self.position = min(_size(self._part), file.size_bytes)
        self._shown = self.position
        self._was_resumed = self.position > 0

    async def run(self, shared: "httpx2.AsyncClient", stage: Stage, places: asyncio.Semaphore) -> None:
        async with places:
            await asyncio.to_thread(self._take_up)
            while True:
                await self._complete(shared, stage)
                if not self.file.digest or self._hasher.hexdigest() == self.file.digest.value:
                    break
                self._refuse_or_restart()
            self._part.replace(self._target)

    def _take_up(self) -> None:
        """Go on behind what an earlier process left."""
        self._part.parent.mkdir(parents=True, exist_ok=True)
        if _size(self._part) > self.file.size_bytes:
            self._restart()
        elif self.position:
            self.position = feed(self._hasher, self._part)

    async def _complete(self, shared: "httpx2.AsyncClient", stage: Stage) -> None:
        num_failures = 0
        while self.position < self.file.size_bytes or not self._part.exists():
            before = self.position
            try:
                await self._receive(shared, stage)
            except Failed as failure:
                num_failures = 1 if self.position > before else num_failures + 1
                wait_s = self._manners.patience.wait_s(num_failures, failure.asked_s)
                if wait_s is None:
                    raise FetchError(f"{self.file.path} could not be fetched: {failure}") from None
                self._progress.note(f"{self.file.path}: {failure}; trying again in {wait_s:g} s")
                await asyncio.sleep(wait_s)

    async def _receive(self, shared: "httpx2.AsyncClient", stage: Stage) -> None:
        headers = {**self._manners.headers, "Accept-Encoding": "identity"}
        if self.position:
            headers["Range"] = f"bytes={self.position}-"
            if self.file.validator:
                headers["If-Range"] = self.file.validator
        with transport_failures(), self._part.open("ab") as part:
            async with shared.stream("GET", self.file.url, headers=headers) as response:
                if response.status_code == 416 and self.position:
                    self._restart()
                    raise Failed("the server has less of it than was fetched")
                check_status(response, self._manners.refusal, accepted=(200, 206))
                self._check_place(response)
                async for piece in response.aiter_raw():
                    self._take(piece, part.write, stage)
        if self.position < self.file.size_bytes:
            raise Failed("the connection ended early")

    def _check_place(self, response: "httpx2.Response") -> None:
        """See that what comes is what belongs here: the rest, or the whole from its beginning."""
        self._check_encryption(response)
        if response.headers.get("content-encoding", "identity") != "identity":
            raise FetchError(f"{self.file.path}: the server sends it compressed, which was not asked for")
        start, total = 0, response.headers.get("content-length")
        if response.status_code == 206:
            unit, _, rest = response.headers.get("content-range", "").partition(" ")
            first, _, total = rest.replace("-", "/").partition("/")
            total = total.partition("/")[2]
            if unit != "bytes" or first != str(self.position):
                self._restart()
                raise Failed("the server sends another part than was asked for")
            start = self.position
        if total not in (None, "*", str(self.file.size_bytes)):
            raise FetchError(
                f"{self.file.path} has {total} bytes on the server instead of {self.file.size_bytes}: "
                "it was changed, start again"
            )
        if start != self.position:
            self._restart()

    def _check_encryption(self, response: "httpx2.Response") -> None:
        if self.file.url.startswith("https:") and response.url.scheme != "https" and self.file.digest is None:
            raise FetchError(f"{self.file.path}: the server sends it unencrypted, and no hash is known to check it by")

    def _take(self, piece: bytes, write: Callable[[bytes], object], stage: Stage) -> None:
        if self.position + len(piece) > self.file.size_bytes:
            raise FetchError(f"{self.file.path} is larger than the {self.file.size_bytes} bytes it should have")
        write(piece)
        self._hasher.update(piece)
        self.position += len(piece)
        if self.position > self._shown:
            stage.advance(self.position - self._shown)
            self._shown = self.position

    def _refuse_or_restart(self) -> None:
        found = self._hasher.hexdigest()
        self._restart()
        if not self._was_resumed:
            self._part.unlink(missing_ok=True)
            raise FetchError(
                f"{self.file.path} is not the file it should be: its hash is {found}, expected {self._digest.value}"
            )
        self._progress.note(f"{self.file.path}: what was there does not fit, starting again")
        self._was_resumed = False

    def _restart(self) -> None:
        if self._part.exists():
            with self._part.open("r+b") as part:
                part.truncate()
        self.position = 0
        self._hasher = self._digest.hasher(self.file.size_bytes)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first; the rest was cancelled for it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _words(status: int, asked_s: float | None) -> str:
    if status == 429:
        wait = f" and asks to wait {asked_s:g} s" if asked_s is not None else ""
        return f"the server has had too many requests{wait}"
    return f"the server failed (status {status})"


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return f"the connection failed ({text})"
