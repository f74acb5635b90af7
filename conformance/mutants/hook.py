"""The mutants, and the hook of the proxy that answers as they do."""

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from conformance.http_bytes import Request, Response, send
from conformance.mutants import anthropic, ollama, openai_answers, openai_streams, responses
from conformance.mutants.breaking import Break
from conformance.proxy import HOP_BY_HOP, response_bytes

HEALTHY = "healthy"
"""Label of the requests whose answers stay whole."""

DEFECTS: dict[str, Break] = {
    **openai_streams.DEFECTS,
    **openai_answers.DEFECTS,
    **responses.DEFECTS,
    **anthropic.DEFECTS,
    **ollama.DEFECTS,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A defect and who must find it.

    Attributes:
        name: Of the defect.
        case: Name of the case that must find it.
        says: A piece of what that case then says: it is to be found for the right reason.
    """

    name: str
    case: str
    says: str


def all_mutants() -> list[Mutant]:
    """Every line of every file in `cases/`."""
    paths = sorted((Path(__file__).parent / "cases").glob("*.json"))
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return [Mutant(**item) for document in documents for item in document["mutants"]]


class MutantHook:
    """The hook of a proxy: the label of a request is the mutant that answers it.

    The same request is asked of the healthy server once, however many mutants break its answer.

    Args:
        chat_url: The healthy server, without a path.
        embeddings_url: The one that embeds.
    """

    def __init__(self, chat_url: str, embeddings_url: str) -> None:
        self._chat_url, self._embeddings_url = chat_url, embeddings_url
        self._known: dict[tuple[str, str, bytes, str], Response] = {}
        self._lock = threading.Lock()

    def __call__(self, label: str, request: Request) -> bytes:
        """Answer as the mutant does that the label names."""
        healthy = self._ask(request)
        if label == HEALTHY:
            return response_bytes(healthy)
        broken = DEFECTS[label](healthy)
        return broken if isinstance(broken, bytes) else response_bytes(broken)

    def _ask(self, request: Request) -> Response:
        key = (request.method, request.target, request.body, request.headers.get("origin", ""))
        with self._lock:
            known = self._known.get(key)
        if known is None:
            url = self._embeddings_url if "/embed" in request.target else self._chat_url
            headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
            known = send(url, replace(request, headers=headers))
            with self._lock:
                self._known[key] = known
        return known
