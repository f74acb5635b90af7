"""OpenAI's Responses."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from conformance import event_stream
from conformance.checks.facts import ServerFacts
from conformance.dialects.dialect import Dialect, Essence
from conformance.dialects.openai import errors
from conformance.dialects.responses import events, response, stored
from conformance.streams import Stream
from conformance.turns import Turn


class Responses(Dialect):
    """What agents of OpenAI's speak by default."""

    name = "responses"
    title = "OpenAI's Responses"
    sdk = "openai"
    needs: ClassVar = {"responses": ("POST", "/responses")}
    path = r"/responses(?:/[^?]+)?"

    def read_stream(self, body: bytes) -> Stream:
        return event_stream.read_named_events(body)

    def joined(self, chunks: Sequence[Any]) -> Any:
        return events.joined(chunks)

    def endings(self, turn: Turn) -> list[str]:
        kinds = [event.get("type") for event in turn.chunks or () if isinstance(event, dict)]
        return ["end" if kind in events.ENDS else str(kind) for kind in kinds if kind in {*events.ENDS, "error"}]

    def violations(self, turn: Turn, facts: ServerFacts) -> list[str]:
        if turn.endpoint != "/responses":
            return stored.violations(turn)
        found = [] if turn.chunks is None else events.violations(turn)
        return found or response.violations(turn.value, turn.request, facts)

    def error_violations(self, turn: Turn) -> list[str]:
        return errors.violations(turn)

    def essence(self, value: Any) -> Essence:
        usage = value.get("usage")
        return Essence(
            texts=[response.text_of(value)],
            calls=[[(call["name"], call["arguments"]) for call in response.calls_of(value)]],
            ends=[(value["status"], value["incomplete_details"])],
            counts=usage and {name: usage[name] for name in ("input_tokens", "output_tokens", "total_tokens")},
        )

    def stops(self, request: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002  # this protocol has none
        return ()
