"""What the suite knows of a protocol: where it is spoken, how its answers are read, and what must be true of them."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from conformance import event_stream
from conformance.checks.facts import ServerFacts
from conformance.streams import Stream
from conformance.turns import Turn

Probe = tuple[str, str]
"""Method and path of a request whose status tells whether a server offers something."""


@dataclass(frozen=True, slots=True)
class Essence:
    """What two answers to one greedy question have in common, whichever way they came.

    Attributes:
        texts: Of each choice.
        calls: Of each choice: names and arguments.
        ends: Why each choice ended.
        counts: Of tokens; None where the answer does not tell.
    """

    texts: list[str]
    calls: list[list[tuple[str, Any]]]
    ends: list[Any]
    counts: Mapping[str, Any] | None


class Dialect(ABC):
    """A protocol.

    Attributes:
        name: Of its folder of cases.
        title: Its heading in the report.
        sdk: Whose clients speak it: `openai`, `anthropic` or `ollama`.
        needs: What a server may offer of it, and how that is found out.
        embeds: Those of the needs that another server may meet: one that embeds.
        at_root: Whether its SDK's address is the server's own, without the `/v1` of OpenAI's.
        path: A regular expression for its paths below that address.
        stream_type: The content type of its streams.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    sdk: ClassVar[str]
    needs: ClassVar[Mapping[str, Probe]]
    embeds: ClassVar[frozenset[str]] = frozenset()
    at_root: ClassVar[bool] = False
    path: ClassVar[str]
    stream_type: ClassVar[str] = event_stream.MEDIA_TYPE

    def endpoint(self, path: str) -> str | None:
        """What of a path stands below the address that the SDK is given; None where it is none of this dialect's."""
        found = re.search(rf"(?:{self.path})(?=\?|$)", path)
        return found and found[0]

    def streams(self, endpoint: str, request: Mapping[str, Any]) -> bool:  # noqa: ARG002  # for those that need it
        """Whether a request asks for a stream."""
        return request.get("stream") is True

    @abstractmethod
    def read_stream(self, body: bytes) -> Stream:
        """The values of a stream's body, and what is wrong with its framing."""

    @abstractmethod
    def joined(self, chunks: Sequence[Any]) -> Any:
        """The whole answer that a stream's values add up to; what does not fit is left out, for checks to name."""

    @abstractmethod
    def endings(self, turn: Turn) -> list[str]:
        """What ends an answer, in its order. How text is cut into pieces is the server's own affair."""

    @abstractmethod
    def violations(self, turn: Turn, facts: ServerFacts) -> list[str]:
        """What is wrong with an answer that is no error."""

    @abstractmethod
    def error_violations(self, turn: Turn) -> list[str]:
        """What is wrong with an error."""

    @abstractmethod
    def essence(self, value: Any) -> Essence:
        """What an answer says.

        Raises:
            KeyError, TypeError: It is no answer of text.
        """

    @abstractmethod
    def stops(self, request: Mapping[str, Any]) -> Sequence[str]:
        """The strings that are to end an answer."""

    def vectors(self, value: Any) -> list[list[float]]:  # noqa: ARG002  # for those that have some
        """The vectors of an answer.

        Raises:
            KeyError: It has none.
        """
        raise KeyError("vectors")
