"""A repository of the Hugging Face hub, asked through huggingface_hub: what it holds, and where each file is.

The endpoint (HF_ENDPOINT), the token (HF_TOKEN, or that of `hf auth login`) and offline mode (HF_HUB_OFFLINE) are the
library's own. Its telemetry is switched off before it loads.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

from obeaver import __version__
from obeaver.errors import FetchError
from obeaver.models.progress import Progress
from obeaver.models.sources.digest import Digest
from obeaver.models.sources.patience import USUAL_PATIENCE, Patience, insist
from obeaver.models.sources.transfer import Manners, Refusal, RemoteFile, check_status, transport_failures

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

PUBLIC: Final = "https://huggingface.co"
_ANSWER_S: Final = 30.0
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a commit."""

    size_bytes: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Listing:
    """One commit of a repository.

    Attributes:
        repo: Its name, as the hub writes it.
        commit: In full.
        files: Every file, by its path.
        licence: As the model card says it.
        gguf_architecture: Of its GGUF files, where the hub has looked into them.
    """

    repo: str
    commit: str
    files: Mapping[str, HubFile]
    licence: str | None
    gguf_architecture: str | None = None


class HubRepo:
    """One repository.

    Args:
        repo: `ORG/NAME`.
        revision: A branch, a tag or a commit.
        progress: Told when the hub lets us wait.
        patience: How much the hub may fail.
    """

    def __init__(
        self, repo: str, revision: str | None, *, progress: Progress, patience: Patience = USUAL_PATIENCE
    ) -> None:
        self._repo = repo
        self._revision = revision
        self._progress = progress
        self._patience = patience
        self._endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or PUBLIC

    def listing(self) -> Listing:
        """Ask what the revision holds.

        Raises:
            FetchError: The hub cannot be reached, refuses, or says what cannot be.
        """
        info = self._insist(self._info)
        if info.sha is None or info.siblings is None:
            raise self._no_hub()
        files = {file.rfilename: file for file in info.siblings if _is_inside(file.rfilename)}
        found = {path: _hub_file(file) for path, file in files.items()}
        return Listing(
            repo=info.id,
            commit=info.sha,
            files={path: file for path, file in found.items() if file},
            licence=_licence(info),
            gguf_architecture=(info.gguf or {}).get("architecture"),
        )

    def read_json(self, commit: str, path: str) -> Any:
        """Read a small file.

        Raises:
            FetchError: It cannot be had, or is no JSON.
        """

        def read() -> Any:
            with self._failures():
                answer = (
                    library()
                    .get_session()
                    .get(self._url(commit, path), headers=self._headers(), timeout=_ANSWER_S, follow_redirects=True)
                )
                check_status(answer, self._refusal())
                return json.loads(answer.text)

        try:
            return self._insist(read)
        except ValueError as error:
            raise FetchError(f"{path} of {self._repo} is not JSON: {error}") from None

    def remote(self, listing: Listing, path: str, place: str) -> RemoteFile:
        """How to fetch a file.

        Args:
            listing: What holds it.
            path: In the repository.
            place: Where it goes.
        """
        file = listing.files[path]
        return RemoteFile(place, self._url(listing.commit, path), file.size_bytes, file.digest)

    def manners(self) -> Manners:
        """How to speak to the hub."""
        return Manners(self._headers(), self._refusal(), self._patience)

    def _insist(self, ask: Callable[[], _Answer]) -> _Answer:
        what = f"{self._repo} on {self._endpoint}"
        return insist(ask, self._patience, what=what, progress=self._progress)

    def _info(self) -> "ModelInfo":
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        with self._failures():
            try:
                return self._api().model_info(
                    self._repo, revision=self._revision, files_metadata=True, timeout=_ANSWER_S
                )
            except HFValidationError as error:
                raise FetchError(f"{self._repo} is no name of a repository: {error}") from None
            except HfHubHTTPError:
                raise  # one of them is a ValueError, too
            except (ValueError, KeyError, TypeError):
                raise self._no_hub() from None

    @contextmanager
    def _failures(self) -> Iterator[None]:
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        try:
            with transport_failures():
                yield
        except OfflineModeIsEnabled:
            raise FetchError(
                f"{self._repo} is not in the store, and HF_HUB_OFFLINE forbids to ask the hub: unset it to fetch"
            ) from None
        except HfHubHTTPError as error:
            check_status(error.response, self._refusal())
            raise self._no_hub() from None

    def _api(self) -> "HfApi":
        api: HfApi = library().HfApi(endpoint=self._endpoint, library_name="obeaver", library_version=__version__)
        return api

    def _url(self, commit: str, path: str) -> str:
        return str(library().hf_hub_url(self._repo, path, revision=commit, endpoint=self._endpoint))

    def _headers(self) -> dict[str, str]:
        return dict(library().utils.build_hf_headers(library_name="obeaver", library_version=__version__))

    def _refusal(self) -> Refusal:
        has_token = library().get_token() is not None

        def words(status: int, headers: Mapping[str, str]) -> str:
            return refusal(status, headers, self._repo, self._revision, self._endpoint, has_token=has_token)

        return words

    def _no_hub(self) -> FetchError:
        return FetchError(f"{self._endpoint} does not answer as a Hugging Face hub does: check HF_ENDPOINT")


def library() -> Any:
    """huggingface_hub, loaded when it is needed."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import huggingface_hub

    return huggingface_hub


def refusal(
    status: int, headers: Mapping[str, str], repo: str, revision: str | None, endpoint: str, *, has_token: bool
) -> str:
    """What the hub means, and what to do about it, in one line."""
    code, message = headers.get("x-error-code", ""), headers.get("x-error-message", "")
    log_in = f"make a token on {endpoint}/settings/tokens, then run `hf auth login` or set HF_TOKEN"
    if code == "GatedRepo":
        if has_token:
            return (
                f"{repo} is gated and your account was not let in: accept its terms on {endpoint}/{repo}, "
                "with the account of your token, and pull again"
            )
        return f"{repo} is gated: accept its terms on {endpoint}/{repo}, {log_in}, and pull again"
    if code == "RevisionNotFound":
        return f"{repo} has no revision {revision}: see {endpoint}/{repo}/tree/main for what there is"
    if code == "EntryNotFound":
        return f"{repo} has lost a file that it listed: pull again"
    if status == 401 and ("credentials" in message.lower() or (has_token and code != "RepoNotFound")):
        return f"{endpoint} does not accept your token (HF_TOKEN, or that of `hf auth login`): make a new one"
    if status in (401, 404):
        other = "with a token that may read it" if has_token else f"{log_in}"
        return f"there is no model {repo} on {endpoint}, or it is private: check the name; for a private one, {other}"
    if "disabled" in message.lower():
        return f"{repo} was disabled by {endpoint}"
    if status == 403:
        reason = message or "forbidden"
        return f"your token may not read {repo} ({reason}): give it the right to, on {endpoint}/settings/tokens"
    return f"{endpoint} refuses {repo} with status {status}" + (f": {message}" if message else "")


def _hub_file(file: Any) -> HubFile | None:
    """Large files have a SHA-256, small ones git's name of their content."""
    if file.lfs is not None:
        return HubFile(int(file.lfs.size), Digest("sha256", str(file.lfs.sha256)))
    if file.size is None or file.blob_id is None:
        return None
    return HubFile(int(file.size), Digest("git-sha1", str(file.blob_id)))


def _is_inside(path: str) -> bool:
    """A name from elsewhere must not lead out of a folder, on any operating system."""
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts and not {"\\", ":", "\0"} & set(path)


def _licence(info: "ModelInfo") -> str | None:
    card: Any = info.card_data or {}
    name = card.get("license")
    if isinstance(name, list):
        name = name[0] if name else None
    if name is None:
        tags = [tag.removeprefix("license:") for tag in info.tags or [] if tag.startswith("license:")]
        name = tags[0] if tags else None
    if name == "other":
        name = card.get("license_name") or name
    link = card.get("license_link")
    if name is None:
        return None
    return f"{name} ({link})" if isinstance(link, str) and link.startswith("https://") else str(name)
