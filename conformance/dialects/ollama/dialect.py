"""Ollama's native protocol."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from conformance import json_lines
from conformance.checks.facts import ServerFacts
from conformance.dialects.dialect import Dialect, Essence
from conformance.dialects.ollama import errors, lines, models, vectors
from conformance.streams import Stream
from conformance.turns import Turn

TEXTS = {"/api/chat", "/api/generate"}


class Ollama(Dialect):
    """What desktop tools and plugins speak that look for Ollama."""

    name = "ollama"
    title = "Ollama's own"
    sdk = "ollama"
    needs: ClassVar = {"ollama": ("POST", "/api/chat"), "ollama-embeddings": ("POST", "/api/embed")}
    embeds = frozenset({"ollama-embeddings"})
    at_root = True
    path = r"/api/(?:chat|generate|tags|ps|show|version|embed|embeddings|pull)"
    stream_type = json_lines.MEDIA_TYPE

    def streams(self, endpoint: str, request: Mapping[str, Any]) -> bool:
        # Streams are on by default here.
        return endpoint in TEXTS and request.get("stream") is not False

    def read_stream(self, body: bytes) -> Stream:
        return json_lines.read_json_lines(body)

    def joined(self, chunks: Sequence[Any]) -> Any:
        return lines.joined(chunks)

    def endings(self, turn: Turn) -> list[str]:
        told = [line for line in turn.chunks or () if isinstance(line, dict)]
        return ["error" if "error" in line else "done" for line in told if line.get("done") or "error" in line]

    def violations(self, turn: Turn, facts: ServerFacts) -> list[str]:
        if turn.endpoint in TEXTS:
            return lines.violations(turn, facts)
        if turn.endpoint in vectors.NAMES:
            return vectors.violations(turn)
        return models.violations(turn, facts)

    def error_violations(self, turn: Turn) -> list[str]:
        return errors.violations(turn)

    def essence(self, value: Any) -> Essence:
        message = value.get("message") or {"content": value.get("response")}
        calls = [call["function"] for call in message.get("tool_calls") or []]
        return Essence(
            texts=[message["content"] or ""],
            calls=[[(call["name"], call["arguments"]) for call in calls]],
            ends=[value["done_reason"]],
            counts={name: value[name] for name in ("prompt_eval_count", "eval_count")},
        )

    def stops(self, request: Mapping[str, Any]) -> Sequence[str]:
        return lines.stops(request)

    def vectors(self, value: Any) -> list[list[float]]:
        return [value["embedding"]] if "embedding" in value else list(value["embeddings"])
