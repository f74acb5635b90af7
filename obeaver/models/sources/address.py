"""Addresses of models elsewhere, as a person writes them.

    hf:ORG/REPO[@REVISION][:PATH]      a repository of the Hugging Face hub; PATH is a file, a folder or a pattern in it
    https://HOST/FILE.gguf[#sha256=…]  one file

A page of the hub, copied from a browser, means the repository that it shows.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urldefrag, urlsplit

from obeaver.errors import ModelError

HUB: Final = "hf:"
_WEB: Final = ("https://", "http://")
_HUB_HOSTS: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
# What stands between a repository and a revision in the addresses of its pages and files.
_VIEWS: Final = frozenset({"tree", "blob", "resolve", "raw"})
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPO: Final = re.compile(rf"{_NAME}(?:/{_NAME})?")
_HUB: Final = re.compile(r"hf:(?://)?(?P<repo>[^@:]+)(?:@(?P<revision>[^:]+))?(?::(?P<path>.+))?")
_SHA256: Final = re.compile(r"sha256[=:]([0-9a-fA-F]{64})")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A repository of the hub, or a part of it.

    Attributes:
        repo: `ORG/NAME`.
        revision: A branch, a tag or a commit; None is the repository's own branch.
        path: A file, a folder, a pattern with `*`, or a quantisation such as `Q8_0`; None leaves the choice open.
    """

    repo: str
    revision: str | None = None
    path: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        path = f":{self.path}" if self.path else ""
        return f"{HUB}{self.repo}{revision}{path}"


@dataclass(frozen=True, slots=True)
class UrlAddress:
    """One file on the web.

    Attributes:
        url: Without its fragment.
        sha256: What the file must have; None where nobody said it.
    """

    url: str
    sha256: str | None = None

    def __str__(self) -> str:
        return f"{self.url}#sha256={self.sha256}" if self.sha256 else self.url

    @property
    def file_name(self) -> str:
        """The last part of its path."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])


def is_address(text: str) -> bool:
    """Whether this means something elsewhere, rather than a name or a path."""
    return text.lower().startswith((HUB, *_WEB))


def parse_address(text: str) -> HubAddress | UrlAddress:
    """Understand an address.

    Raises:
        ModelError: It is none; says what one looks like.
    """
    if not text.lower().startswith(_WEB):
        return _hub_address(text)
    if (urlsplit(text).hostname or "") in _HUB_HOSTS:
        return _hub_page(text)
    return _url_address(text)


def _hub_address(text: str) -> HubAddress:
    found = _HUB.fullmatch(text[:3].lower() + text[3:])
    if found is None or not _REPO.fullmatch(found["repo"]):
        raise ModelError(f"{text!r} is no address of the hub: it is written hf:ORG/REPO[@REVISION][:FILE-OR-FOLDER]")
    return HubAddress(found["repo"], found["revision"], _clean(found["path"]))


def _hub_page(text: str) -> HubAddress:
    parts = [unquote(part) for part in urlsplit(text).path.split("/") if part]
    repo = "/".join(parts[:2])
    if not parts or parts[0] in {"datasets", "spaces"} or not _REPO.fullmatch(repo):
        raise ModelError(f"{text} is no page of a model: write hf:ORG/REPO[@REVISION][:FILE-OR-FOLDER]")
    view, rest = parts[2:3], parts[3:]
    if not view:
        return HubAddress(repo)
    if view[0] not in _VIEWS or not rest:
        raise ModelError(f"{text} is no page of a model's files: write hf:{repo}[@REVISION][:FILE-OR-FOLDER]")
    revision = None if rest[0] == "main" else rest[0]
    return HubAddress(repo, revision, _clean("/".join(rest[1:])))


def _url_address(text: str) -> UrlAddress:
    url, fragment = urldefrag(text)
    host = urlsplit(url).hostname
    if not host:
        raise ModelError(f"{text!r} is no address of a file: it has no host")
    found = _SHA256.fullmatch(fragment)
    if fragment and found is None:
        raise ModelError(f"{text}: after # only sha256=HASH can stand, with 64 hexadecimal digits")
    sha256 = found[1].lower() if found else None
    if sha256 is None and url.lower().startswith("http://") and host not in _LOOPBACK:
        raise ModelError(f"{url} is not encrypted: add #sha256=HASH, or use https")
    return UrlAddress(url, sha256)


def _clean(path: str | None) -> str | None:
    return (path or "").strip("/") or None
