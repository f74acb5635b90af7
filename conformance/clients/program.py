"""What the client programs in Python share: orders in, turns out. Imports nothing but the standard library.

    python -m conformance.clients.openai_client [--async] [--labelled] < orders.jsonl > turns.jsonl

Each line in is an order: `label`, `call`, `arguments`, and further fields as `cases.schema.json` has them; each line
out holds the `label` and the `turns`. `{0.id}` in arguments stands for the id of the answer to a case's step 0.
Addresses and keys that an order does not have stand in the environment. With `--labelled`, each order goes to `/@LABEL`
below the host of its address, where a recording proxy takes note of it. A program each, so that it can run under
another interpreter with another version of the SDK.
"""

import inspect
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Order = dict[str, Any]
Turn = dict[str, Any]

MAX_ROUNDS = 3
"""Of a loop of tool calls and results."""

TIMEOUT_S = 300


_ID = re.compile(r"\{(\d+)\.id\}")


@dataclass(frozen=True, slots=True)
class Options:
    """How a client is to be made."""

    base_url: str
    api_key: str
    max_retries: int
    is_async: bool


async def settled(value: Any) -> Any:
    """What a call of either client gives, the synchronous or the asynchronous one."""
    return await value if inspect.isawaitable(value) else value


async def each(stream: Any) -> AsyncIterator[Any]:
    """The items of either kind of stream."""
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


def dump(value: Any) -> Any:
    """What the server sent, as the SDK has read it."""
    return value.model_dump(mode="json", exclude_unset=True, by_alias=True, warnings=False)


def resolved(value: Any, case: str, ids: dict[str, str]) -> Any:
    """Arguments with the ids that stand for earlier answers of the case."""
    if isinstance(value, str):
        return _ID.sub(lambda found: ids[f"{case}.{found[1]}"], value)
    if isinstance(value, dict):
        return {name: resolved(item, case, ids) for name, item in value.items()}
    return [resolved(item, case, ids) for item in value] if isinstance(value, list) else value


def id_of(turn: Turn) -> str:
    """The id of an answer; of a stream, that of the response in its last event."""
    last = turn["chunks"][-1].get("response") if turn.get("chunks") else turn.get("value")
    return str(last.get("id")) if isinstance(last, dict) else ""


async def run(
    make: Callable[[Options, Order], Awaitable[list[Turn]]], version: str, environ: tuple[str, str], words: list[str]
) -> None:
    """Read orders, write turns.

    Args:
        make: Makes one order with a client of these options.
        version: Of the SDK.
        environ: Variables with the address and the key of orders that do not have them.
        words: Of the command line.
    """
    address, key = (os.environ.get(name) for name in environ)
    ids: dict[str, str] = {}
    for line in sys.stdin:
        order = json.loads(line)
        base_url = str(order.get("base_url") or address)
        if "--labelled" in words:
            url = urlsplit(base_url)
            base_url = f"{url.scheme}://{url.netloc}/@{order['label']}{url.path}"
        options = Options(
            base_url, order.get("api_key") or key or "unused", order.get("max_retries", 0), "--async" in words
        )
        case, _, step = order["label"].rpartition(".")
        order["arguments"] = resolved(order["arguments"], case, ids)
        turns = await make(options, order)
        ids[f"{case}.{step}"] = id_of(turns[-1])
        print(json.dumps({"label": order["label"], "client": version, "turns": turns}), flush=True)
