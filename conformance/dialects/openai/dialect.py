"""OpenAI's first protocol: chat completions, text completions, embeddings and models."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from conformance import event_stream
from conformance.checks.facts import ServerFacts
from conformance.dialects.dialect import Dialect, Essence
from conformance.dialects.openai import chat, chat_stream, completions, embeddings, errors, models
from conformance.dialects.openai.joined import joined
from conformance.streams import Stream
from conformance.turns import Turn


class OpenAI(Dialect):
    """What every SDK of OpenAI's has spoken from the beginning."""

    name = "openai"
    title = "OpenAI"
    sdk = "openai"
    needs: ClassVar = {
        "chat": ("POST", "/chat/completions"),
        "completions": ("POST", "/completions"),
        "embeddings": ("POST", "/embeddings"),
        "models": ("GET", "/models"),
    }
    embeds = frozenset({"embeddings"})
    path = r"/(?:chat/completions|completions|embeddings|models(?:/[^?]+)?)"

    def read_stream(self, body: bytes) -> Stream:
        return event_stream.read_event_stream(body)

    def joined(self, chunks: Sequence[Any]) -> Any:
        return joined(chunks)

    def endings(self, turn: Turn) -> list[str]:
        kinds = [kind for chunk in turn.chunks or () for kind in _endings(chunk)]
        if turn.response is not None and not any(event_stream.DONE in problem for problem in turn.problems):
            kinds.append(event_stream.DONE)
        return kinds

    def violations(self, turn: Turn, facts: ServerFacts) -> list[str]:
        if turn.endpoint == "/chat/completions" and turn.request:
            return chat.violations(turn, facts) if turn.chunks is None else chat_stream.violations(turn, facts)
        if turn.endpoint == "/completions":
            return completions.violations(turn, facts)
        if turn.endpoint == "/embeddings":
            return embeddings.violations(turn, facts)
        return models.violations(turn) if turn.endpoint.startswith("/models") else []

    def error_violations(self, turn: Turn) -> list[str]:
        return errors.violations(turn)

    def essence(self, value: Any) -> Essence:
        choices = value["choices"]
        calls = [[call["function"] for call in _message(choice).get("tool_calls") or []] for choice in choices]
        usage = value.get("usage")
        return Essence(
            texts=[_text(choice) for choice in choices],
            # A call's id is drawn anew each time.
            calls=[[(function["name"], function["arguments"]) for function in of_choice] for of_choice in calls],
            ends=[choice.get("finish_reason") for choice in choices],
            counts=usage and {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
        )

    def stops(self, request: Mapping[str, Any]) -> Sequence[str]:
        return chat.stops(request)

    def vectors(self, value: Any) -> list[list[float]]:
        return [embeddings.vector(item["embedding"]) for item in value["data"]]


def _endings(chunk: Any) -> list[str]:
    if not isinstance(chunk, dict) or "error" in chunk:
        return ["error"]
    ends = ["finish" for choice in chunk.get("choices") or [] if choice.get("finish_reason")]
    return [*ends, *(["usage"] if chunk.get("usage") else [])]


def _message(choice: Any) -> Any:
    return choice.get("message") or {}


def _text(choice: Any) -> str:
    text: str | None = choice["text"] if "text" in choice else _message(choice).get("content")
    return text or ""
