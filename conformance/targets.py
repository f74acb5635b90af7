"""The servers under test: where they are, what they list, what they offer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.checks.facts import ServerFacts
from conformance.http_bytes import NoAnswer, Request, Response, send

NOT_OFFERED = {404, 405, 501}
PROBES = {
    "models": ("GET", "/models"),
    "chat": ("POST", "/chat/completions"),
    "completions": ("POST", "/completions"),
    "embeddings": ("POST", "/embeddings"),
}


@dataclass(slots=True)
class Target:
    """A server.

    Attributes:
        base_url: With the path that SDKs are given, such as `/v1`.
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
        """Ask for its models.

        Raises:
            NoAnswer: It does not answer.
        """
        response = self.ask("GET", "/models")
        try:
            ids = tuple(str(item["id"]) for item in json.loads(response.body)["data"])
        except (ValueError, KeyError, TypeError):
            ids = ()
        self.facts = ServerFacts(ids)


@dataclass(slots=True)
class Targets:
    """Which server each need is met by."""

    by_need: Mapping[str, Target]

    @classmethod
    def of(cls, base_url: str, *, embeddings_url: str | None, guard_url: str | None, api_key: str) -> "Targets":
        """The servers of a command line; without an address of its own, embeddings are asked of the first.

        Raises:
            NoAnswer: One does not answer.
        """
        main = Target(base_url, api_key)
        other = Target(embeddings_url, api_key) if embeddings_url else main
        by_need = {"chat": main, "completions": main, "models": main, "embeddings": other}
        if guard_url:
            by_need["guard"] = Target(guard_url, api_key)
        for target in by_need.values():
            target.learn()
        return cls(by_need)

    def missing(self) -> dict[str, str]:
        """Needs that no server meets, with the reason."""
        found = {} if "guard" in self.by_need else {"guard": "no --guard-url"}
        for need, (method, path) in PROBES.items():
            try:
                status = self.by_need[need].ask(method, path, {} if method == "POST" else None).status
            except NoAnswer as error:
                found[need] = str(error)
                continue
            if status in NOT_OFFERED:
                found[need] = f"{method} {path} answers {status}"
        return found
