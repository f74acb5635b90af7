"""Makes the calls of cases with the official Ollama client. See `program.py`."""

import asyncio
import importlib.metadata
import sys
from typing import Any

import ollama

from conformance.clients.program import TIMEOUT_S, Options, Order, Turn, dump, each, run, settled

PATHS = {"list": "tags"}
"""Methods that are called otherwise than their paths."""

STREAMS = {"chat", "generate"}


class Calls:
    """The calls that an order may name; each returns one turn."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def make(self, order: Order) -> list[Turn]:
        """Make one order; what the client raises is part of what it saw."""
        call, arguments = order["call"].removeprefix("ollama."), order["arguments"]
        # The client says whether it wants a stream, whatever is the default.
        sent = {"stream": False} | arguments if call in STREAMS else arguments
        turn = {"endpoint": f"/api/{PATHS.get(call, call)}", "request": sent}
        try:
            answer = await settled(getattr(self._client, call)(**arguments))
            if sent.get("stream"):
                return [turn | {"status": 200, "chunks": [dump(line) async for line in each(answer)]}]
            return [turn | {"status": 200, "value": dump(answer)}]
        except ollama.ResponseError as error:
            seen = {"value": {"error": error.error}, "raised": type(error).__name__}
            return [turn | {"status": error.status_code} | seen]
        except (ollama.RequestError, ConnectionError) as error:
            return [turn | {"status": 0, "value": {"error": str(error)}, "raised": type(error).__name__}]


async def make(options: Options, order: Order) -> list[Turn]:
    """Make one order with a client of its own."""
    kind: Any = ollama.AsyncClient if options.is_async else ollama.Client
    headers = {"Authorization": f"Bearer {options.api_key}"}
    return await Calls(kind(host=options.base_url, headers=headers, timeout=TIMEOUT_S)).make(order)


if __name__ == "__main__":
    version = importlib.metadata.version("ollama")
    asyncio.run(run(make, version, ("OLLAMA_HOST", "OLLAMA_API_KEY"), sys.argv[1:]))
