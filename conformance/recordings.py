"""Captured traffic of the real SDKs, as JSON files: one file a client, one session a label."""

import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance import event_stream
from conformance.answers import Turn, turn_from_bytes
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
SCRUBBED = "<scrubbed>"
CONNECTION_HEADERS = {"host", "connection", "content-length"}
UNLABELLED = "traffic"
_CLIENT = re.compile(r"(?:Async)?OpenAI/(Python|JS) ([\w.]+)")
_LANGUAGES = {"Python": "python", "JS": "node"}


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
        return self.client.removeprefix("openai-")


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
        client, version = (f"openai-{_LANGUAGES[found[1]]}", found[2]) if found else ("other", "unknown")
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
    turn = turn_from_bytes(request.target, body, response)
    return {"status": response.status, "headers": _scrubbed(dict(response.headers)), "events": order_of_events(turn)}


def _scrubbed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: SCRUBBED if name in SECRET_HEADERS else value for name, value in headers.items()}


def order_of_events(turn: Turn) -> list[str]:
    """What happened in an answer, in its order; several events of one kind in a row are one."""
    if turn.chunks is None:
        return ["error" if turn.status >= 400 else "answer"]
    kinds = [kind for chunk in turn.chunks for kind in _kinds(chunk)]
    if turn.response is not None and not any(event_stream.DONE in problem for problem in turn.problems):
        kinds.append(event_stream.DONE)
    return [kind for number, kind in enumerate(kinds) if number == 0 or kinds[number - 1] != kind]


def _kinds(chunk: Any) -> list[str]:
    if not isinstance(chunk, dict) or "error" in chunk:
        return ["error"]
    kinds = []
    for choice in chunk.get("choices") or []:
        delta = choice.get("delta") or {}
        kinds += ["role"] if delta.get("role") else []
        kinds += ["text"] if delta.get("content") or choice.get("text") else []
        kinds += ["tool call"] if delta.get("tool_calls") else []
        kinds += ["finish"] if choice.get("finish_reason") else []
    return [*kinds, *(["usage"] if chunk.get("usage") else [])]


def add(recording: Recording, folder: Path = FOLDER) -> Path:
    """Write a recording; what its file already has of other sessions stays."""
    for before in load(folder):
        if before.title == recording.title:
            ids = tuple(dict.fromkeys([*before.model_ids, *recording.model_ids]))
            recording = Recording(before.client, before.version, ids, before.sessions | recording.sessions)
    return save(recording, folder)
