"""The servers under test: where they are, what they list, what they offer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.cases import Case
from conformance.checks.facts import ServerFacts
from conformance.dialects import DIALECTS, GUARD
from conformance.dialects.dialect import Dialect
from conformance.http_bytes import NoAnswer, Request, Response, send

NOT_OFFERED = {404, 405, 501}


@dataclass(slots=True)
class Target:
    """A server, as the SDK of a dialect is told where it is.

    Attributes:
        base_url: With the path that this SDK is given, such as `/v1`.
        api_key: Sent as a bearer token.
        facts: What is known of it.
    """

    base_url: str
    api_key: str = "unused"
    facts: ServerFacts = field(default_factory=lambda: ServerFacts(()))

    def ask(self, method: str, path: str, body: Any = None) -> Response:
        """Send a plain request."""
        headers = {"authorization": f"Bearer {self.api_key}"}
        if body is not None:
            headers["content-type"] = "application/json"
        raw = b"" if body is None else json.dumps(body).encode()
        return send(self.base_url, Request(method, path, headers, raw))

    def learn(self) -> None:
        """Ask for its models, as OpenAI's protocol has it.

        Raises:
            NoAnswer: It does not answer.
        """
        response = self.ask("GET", "/models")
        try:
            ids = tuple(str(item["id"]) for item in json.loads(response.body)["data"])
        except (ValueError, KeyError, TypeError):
            ids = ()
        self.facts = ServerFacts(ids)

    def spoken_to_in(self, dialect: Dialect) -> "Target":
        """The same server with the address that this dialect's SDK is given."""
        if not dialect.at_root:
            return self
        return Target(self.base_url.rstrip("/").removesuffix("/v1"), self.api_key, self.facts)


@dataclass(slots=True)
class Targets:
    """Which server meets what is needed.

    Attributes:
        main: The server.
        embeddings: The one that embeds.
        guard: The one with a key and little room, if there is one.
    """

    main: Target
    embeddings: Target
    guard: Target | None

    @classmethod
    def of(cls, base_url: str, *, embeddings_url: str | None, guard_url: str | None, api_key: str) -> "Targets":
        """The servers of a command line; without an address of its own, embeddings are asked of the first.

        Raises:
            NoAnswer: One does not answer.
        """
        main = Target(base_url, api_key)
        embeddings = Target(embeddings_url, api_key) if embeddings_url else main
        guard = Target(guard_url, api_key) if guard_url else None
        found = cls(main, embeddings, guard)
        for target in found.servers:
            target.learn()
        return found

    @property
    def servers(self) -> list[Target]:
        """All of them."""
        return [self.main, self.embeddings, *([self.guard] if self.guard else [])]

    def of_case(self, case: Case) -> Target:
        """Who is asked. There is a guard wherever its cases are not missing."""
        if case.needs == GUARD:
            assert self.guard is not None
            return self.guard.spoken_to_in(case.dialect)
        return self._of_need(case.dialect, case.needs)

    def _of_need(self, dialect: Dialect, need: str) -> Target:
        return (self.embeddings if need in dialect.embeds else self.main).spoken_to_in(dialect)

    def missing(self) -> Mapping[tuple[str, str], str]:
        """Name of a dialect and what it needs that no server meets, with the reason."""
        found: dict[tuple[str, str], str] = {}
        for dialect in DIALECTS:
            reasons = {need: self._why_not(dialect, need) for need in dialect.needs}
            first = next(iter(reasons))
            reasons[GUARD] = reasons[first] if self.guard else "no --guard-url"
            found |= {(dialect.name, need): reason for need, reason in reasons.items() if reason}
        return found

    def _why_not(self, dialect: Dialect, need: str) -> str | None:
        method, path = dialect.needs[need]
        try:
            status = self._of_need(dialect, need).ask(method, path, {} if method == "POST" else None).status
        except NoAnswer as error:
            return str(error)
        return f"{method} {path} answers {status}" if status in NOT_OFFERED else None
