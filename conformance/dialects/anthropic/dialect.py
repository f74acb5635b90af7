"""Anthropic's Messages."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from conformance import event_stream
from conformance.checks.facts import ServerFacts
from conformance.dialects.anthropic import errors, events, message
from conformance.dialects.dialect import Dialect, Essence
from conformance.streams import Stream
from conformance.turns import Turn


class Anthropic(Dialect):
    """What agents speak that read `ANTHROPIC_BASE_URL`."""

    name = "anthropic"
    title = "Anthropic's Messages"
    sdk = "anthropic"
    needs: ClassVar = {"messages": ("POST", "/v1/messages")}
    at_root = True
    path = r"/v1/messages(?:/count_tokens)?"

    def read_stream(self, body: bytes) -> Stream:
        return event_stream.read_named_events(body)

    def joined(self, chunks: Sequence[Any]) -> Any:
        return events.joined(chunks)

    def endings(self, turn: Turn) -> list[str]:
        kinds = [event.get("type") for event in turn.chunks or () if isinstance(event, dict)]
        return [str(kind) for kind in kinds if kind in {"message_delta", "message_stop", "error"}]

    def violations(self, turn: Turn, facts: ServerFacts) -> list[str]:
        if turn.endpoint == "/v1/messages/count_tokens":
            return message.count_violations(turn.value) + _id_violations(turn)
        if turn.endpoint != "/v1/messages":
            return []
        found = [] if turn.chunks is None else events.violations(turn)
        return (found or message.violations(turn.value, turn.request, facts)) + _id_violations(turn)

    def error_violations(self, turn: Turn) -> list[str]:
        return errors.violations(turn)

    def essence(self, value: Any) -> Essence:
        usage = value.get("usage")
        return Essence(
            texts=[message.text_of(value)],
            calls=[[(call["name"], call["input"]) for call in message.calls_of(value)]],
            ends=[(value["stop_reason"], value["stop_sequence"])],
            counts=usage and {name: usage[name] for name in ("input_tokens", "output_tokens")},
        )

    def stops(self, request: Mapping[str, Any]) -> Sequence[str]:
        return request.get("stop_sequences") or ()


def _id_violations(turn: Turn) -> list[str]:
    """Whether an answer has the id that a person gives who asks what happened to it."""
    missing = turn.response is not None and not turn.response.header("request-id")
    return ["the header request-id is missing"] if missing else []
