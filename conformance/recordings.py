"""Captured traffic of the real SDKs, as JSON files: one file a client, one session a label."""

import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.answers import order_of_endings, turn_from_bytes
from conformance.dialects import dialect_of
from conformance.http_bytes import Request, Response, send
from conformance.proxy import HOP_BY_HOP, response_bytes

FOLDER = Path(__file__).parent / "recordings"
SECRET_HEADERS = {
    "authorization",
    "api-key",
    "x-api-key",
    "cookie",
    "set-cookie",
    "openai-organization",
    "openai-project",
}
KEY_HEADERS = {"authorization": "Bearer {}", "x-api-key": "{}"}
"""How clients send an API key."""

SCRUBBED = "<scrubbed>"
CONNECTION_HEADERS = {"host", "connection", "content-length"}
UNLABELLED = "traffic"
_CLIENT = re.compile(r"(?:Async)?(OpenAI|Anthropic|ollama)[/-](Python|JS)[ /]([\w.]+)", re.IGNORECASE)
_LANGUAGES = {"python": "python", "js": "node"}


@dataclass(frozen=True, slots=True)
class Recording:
    """What one client sent.

    Attributes:
        client: Such as `openai-python`.
        version: Of the client.
        model_ids: What the server listed when this was recorded.
        sessions: Label to exchanges, each a `request` and what was seen of the `response`.
    """

    client: str
    version: str
    model_ids: tuple[str, ...]
    sessions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Client and version."""
        return f"{self.client} {self.version}"

    @property
    def language(self) -> str:
        """As `clients` of cases have it."""
        return self.client.rpartition("-")[2]

    @property
    def sdk(self) -> str:
        """Whose client it is, as `Dialect.sdk` has it."""
        return self.client.rpartition("-")[0]


def load(folder: Path = FOLDER) -> list[Recording]:
    """Every recording of a folder, by name."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return [
        Recording(item["client"], item["version"], tuple(item["model_ids"]), item["sessions"]) for item in documents
    ]


def save(recording: Recording, folder: Path = FOLDER) -> Path:
    """Write a recording to its file, one exchange a line."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recording.client}-{recording.version}.json"
    sessions = [
        f"    {json.dumps(label)}: [\n"
        + ",\n".join(f"      {json.dumps(item, ensure_ascii=False)}" for item in exchanges)
        + "\n    ]"
        for label, exchanges in sorted(recording.sessions.items())
    ]
    head = {"client": recording.client, "version": recording.version, "model_ids": list(recording.model_ids)}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
    text = "\n".join(["{", *lines, '  "sessions": {', ",\n".join(sessions), "  }", "}", ""])
    path.write_text(text, encoding="utf-8")
    return path


class Recorder:
    """The hook of a proxy that hands everything on and keeps what went by.

    Args:
        upstream: Base URL of the server without a path.
        model_ids: What it lists.
    """

    def __init__(self, upstream: str, model_ids: Sequence[str]) -> None:
        self._upstream = upstream
        self._model_ids = tuple(model_ids)
        self._lock = threading.Lock()
        self.recordings: dict[str, Recording] = {}

    def __call__(self, label: str, request: Request) -> bytes:
        """Hand on one request, and note it down once it is answered."""
        kept = {name: value for name, value in request.headers.items() if name not in CONNECTION_HEADERS}
        sent = {name: value for name, value in kept.items() if name not in HOP_BY_HOP}
        response = send(self._upstream, Request(request.method, request.target, sent, request.body))
        with self._lock:
            self._recording_of(request).sessions.setdefault(label or UNLABELLED, []).append(
                {"request": _request_object(request, kept), "response": _response_object(request, response)}
            )
        return response_bytes(response)

    def _recording_of(self, request: Request) -> Recording:
        found = _CLIENT.search(request.headers.get("user-agent", ""))
        client, version = "other", "unknown"
        if found:
            client, version = f"{found[1].lower()}-{_LANGUAGES[found[2].lower()]}", found[3]
        return self.recordings.setdefault(f"{client} {version}", Recording(client, version, self._model_ids))


def _request_object(request: Request, kept: Mapping[str, str]) -> dict[str, Any]:
    body: Any = None
    if request.body:
        try:
            body = json.loads(request.body)
        except ValueError:
            body = request.body.decode("utf-8", "replace")
    return {"method": request.method, "path": request.target, "headers": _scrubbed(kept), "body": body}


def _response_object(request: Request, response: Response) -> dict[str, Any]:
    body = json.loads(request.body) if request.body.startswith(b"{") else {}
    dialect = dialect_of(request.target)
    turn = turn_from_bytes(dialect, dialect.endpoint(request.target) or request.target, body, response)
    told: dict[str, Any] = {"endings": order_of_endings(dialect, turn)}
    # Requests that follow may name it.
    if isinstance(turn.value, dict) and isinstance(turn.value.get("id"), str):
        told["id"] = turn.value["id"]
    return {"status": response.status, "headers": _scrubbed(dict(response.headers)), **told}


def _scrubbed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: SCRUBBED if name in SECRET_HEADERS else value for name, value in headers.items()}


def add(recording: Recording, folder: Path = FOLDER) -> Path:
    """Write a recording; what its file already has of other sessions stays."""
    for before in load(folder):
        if before.title == recording.title:
            ids = tuple(dict.fromkeys([*before.model_ids, *recording.model_ids]))
            recording = Recording(before.client, before.version, ids, before.sessions | recording.sessions)
    return save(recording, folder)
