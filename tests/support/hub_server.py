"""A Hugging Face hub on loopback: its API, its redirects to another host, and everything that can go wrong on the way.

`test_hub_server.py` holds it to huggingface_hub itself, which downloads from it.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "1234567890abcdef1234567890abcdef12345678"
_PIECE_BYTES = 16 * 1024
_LARGE_BYTES = 10_000


@dataclass
class Repo:
    """One model repository.

    Attributes:
        files: Path to content; those of ten thousand bytes and more are in large file storage.
        commit: What each revision means.
        revisions: Names of the commit, beside itself.
        card: What the model card says at its top.
        gated: Whether one must be let in.
        private: Whether others do not know that it exists.
        gguf: What the hub read from a GGUF file's header.
    """

    files: dict[str, bytes]
    commit: str = COMMIT
    revisions: tuple[str, ...] = ("main",)
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    gated: bool = False
    private: bool = False
    gguf: dict[str, Any] | None = None

    def is_large(self, path: str) -> bool:
        return len(self.files[path]) >= _LARGE_BYTES


@dataclass
class Fault:
    """What goes wrong with some requests.

    Attributes:
        where: Part of the path.
        status: Answered instead; None answers as usual, with what follows.
        headers: Of the answer.
        cut_after: Bytes of the body after which the connection is closed.
        body: Sent instead.
        ignores_range: The whole is sent whatever was asked for.
        times: How often it happens; then the rule is spent.
    """

    where: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    body: bytes | None = None
    ignores_range: bool = False
    times: int = 1_000_000


@dataclass
class Seen:
    """One request; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class HubServer:
    """The hub under way.

    Attributes:
        url: Its endpoint.
        cdn_url: Where large files are: the same server by another name, so that it is another host.
        repos: By name.
        web: Plain files, below `/web/`.
        tokens: Those that are known, with the gated and private repositories that they open.
        faults: The first one that fits is applied.
        bytes_per_s: How fast files are sent; None is at once.
        gate: File bodies wait for it after their first piece.
        seen: Every request, in order.
    """

    url: str
    cdn_url: str
    repos: dict[str, Repo] = field(default_factory=dict)
    web: dict[str, bytes] = field(default_factory=dict)
    web_headers: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    bytes_per_s: float | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    seen: list[Seen] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def environment(self) -> dict[str, str]:
        """What makes huggingface_hub in another process use this hub."""
        return {"HF_ENDPOINT": self.url, "NO_PROXY": "*", "HF_HUB_DISABLE_XET": "1"}

    def gets(self, part: str) -> list[Seen]:
        """The GET requests whose path holds this."""
        return [seen for seen in self.seen if seen.method == "GET" and part in seen.path]

    def fault(self, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.where in path and fault.times > 0:
                fault.times -= 1
                return fault
        return None


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """Serve a hub on loopback for the length of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    port = server.server_address[1]
    server.hub = HubServer(f"http://127.0.0.1:{port}", f"http://localhost:{port}")
    server.hub.gate.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.hub
    finally:
        server.hub.closing.set()
        server.hub.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: HubServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is what these tests are about."""


class _Refused(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.headers = {key: value for key, value in (("X-Error-Code", code), ("X-Error-Message", message)) if value}


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        hub = self.server.hub
        hub.seen.append(Seen(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        fault = hub.fault(self.path)
        if fault is not None and fault.status is not None:
            self._send(fault.status, fault.body or b"", fault.headers)
            return
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        try:
            self._route(parts)(fault)
        except _Refused as refused:
            self._send(refused.status, b"", refused.headers)

    def _route(self, parts: list[str]) -> Callable[[Fault | None], None]:
        if parts[:2] == ["api", "models"]:
            return lambda _: self._api(parts[2:])
        if parts[0] == "cdn":
            return lambda fault: self._file(self._large(parts[1]), {"ETag": f'"{parts[1]}"'}, fault)
        if parts[0] == "web":
            return lambda fault: self._web("/".join(parts[1:]), fault)
        at = parts.index("resolve") if "resolve" in parts else 0
        if not at:
            raise _Refused(404, "RepoNotFound")
        return lambda fault: self._resolve("/".join(parts[:at]), parts[at + 1], "/".join(parts[at + 2 :]), fault)

    def _repo(self, name: str, revision: str) -> Repo:
        """The repository, if whoever asks may see it and it has this revision."""
        hub, repo = self.server.hub, self.server.hub.repos.get(name)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in hub.tokens:
            raise _Refused(401, message="Invalid credentials in Authorization header")
        opened = hub.tokens.get(token, set())
        if repo is None or (repo.private and name not in opened):
            raise _Refused(404 if token else 401, "RepoNotFound", "Repository not found")
        if revision not in (repo.commit, *repo.revisions):
            raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo

    def _may_read(self, name: str, repo: Repo) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repo.gated and name not in self.server.hub.tokens.get(token, set()):
            raise _Refused(403 if token else 401, "GatedRepo", f"Access to model {name} is restricted")

    def _api(self, parts: list[str]) -> None:
        at = next((i for i, part in enumerate(parts) if part in ("revision", "tree")), len(parts))
        name, view, revision = "/".join(parts[:at]), parts[at : at + 1], "/".join(parts[at + 1 :]) or "main"
        repo = self._repo(name, revision)
        if view == ["tree"]:
            self._send_json([_tree_entry(repo, path) for path in repo.files])
            return
        query = parse_qs(urlsplit(self.path).query)
        self._send_json(
            {
                "id": name,
                "sha": repo.commit,
                "gated": "manual" if repo.gated else False,
                "private": repo.private,
                "tags": ["gguf"],
                **({"gguf": repo.gguf} if repo.gguf else {}),
                "cardData": repo.card,
                "siblings": [_sibling(repo, path, details="blobs" in query) for path in repo.files],
            }
        )

    def _resolve(self, name: str, revision: str, path: str, fault: Fault | None) -> None:
        repo = self._repo(name, revision)
        self._may_read(name, repo)
        headers = {"X-Repo-Commit": repo.commit}
        if path not in repo.files:
            raise _Refused(404, "EntryNotFound")
        if not repo.is_large(path):
            self._file(repo.files[path], {**headers, "ETag": f'"{git_sha1(repo.files[path])}"'}, fault)
            return
        sha256 = hashlib.sha256(repo.files[path]).hexdigest()
        headers |= {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(repo.files[path]))}
        self._send(302, b"", {**headers, "Location": f"{self.server.hub.cdn_url}/cdn/{sha256}?signature=1"})

    def _large(self, sha256: str) -> bytes:
        contents = [content for repo in self.server.hub.repos.values() for content in repo.files.values()]
        return next(content for content in contents if hashlib.sha256(content).hexdigest() == sha256)

    def _web(self, path: str, fault: Fault | None) -> None:
        if path not in self.server.hub.web:
            raise _Refused(404)
        content = self.server.hub.web[path]
        etag = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"'}
        self._file(content, {**etag, **self.server.hub.web_headers}, fault)

    def _file(self, content: bytes, headers: Mapping[str, str], fault: Fault | None) -> None:
        content = content if fault is None or fault.body is None else fault.body
        start = self._start(headers)
        if fault is not None and fault.ignores_range:
            start = None
        if start is None:
            self._send(200, content, headers, fault)
        elif start >= len(content):
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        else:
            place = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, content[start:], {**headers, "Content-Range": place}, fault)

    def _start(self, headers: Mapping[str, str]) -> int | None:
        """Where the asked range begins; None for the whole, as when the version that it is for is another one."""
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes=") or self.headers.get("If-Range") not in (None, headers.get("ETag")):
            return None
        return int(asked.removeprefix("bytes=").partition("-")[0])

    def _send_json(self, data: Any) -> None:
        self._send(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], fault: Fault | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers, **(fault.headers if fault else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut_after = None if fault is None else fault.cut_after
        self._trickle(body[:cut_after])
        if cut_after is not None:
            self.close_connection = True

    def _trickle(self, body: bytes) -> None:
        hub = self.server.hub
        for start in range(0, len(body), _PIECE_BYTES):
            self.wfile.write(body[start : start + _PIECE_BYTES])
            self.wfile.flush()
            if len(body) > _PIECE_BYTES:
                hub.gate.wait()
            if hub.bytes_per_s is not None and hub.closing.wait(_PIECE_BYTES / hub.bytes_per_s):
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing on the test's stderr."""


def _sibling(repo: Repo, path: str, *, details: bool) -> dict[str, Any]:
    content = repo.files[path]
    if not details:
        return {"rfilename": path}
    sibling: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git_sha1(content)}
    if repo.is_large(path):
        sibling["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
    return sibling


def _tree_entry(repo: Repo, path: str) -> dict[str, Any]:
    content = repo.files[path]
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
    if repo.is_large(path):
        entry["lfs"] = {"size": len(content), "oid": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
    return entry
