"""A streaming chat client that costs little, so that client and server can share two cores.

It stamps each event as it arrives and parses JSON only after the stream has ended. Works against any server of the
OpenAI chat API.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Event = tuple[float, bytes]


class StreamFailed(Exception):
    """A server answered an error, or nothing that could be measured."""


@dataclass(frozen=True, slots=True)
class StreamTrace:
    """One streamed answer. Times are the event loop's, in seconds.

    Attributes:
        sent_at: When the request was written, on a connection that stood.
        arrivals: When each event that carries text came.
        text: The whole answer.
        num_prompt_tokens: As the server counts them; 0 if it does not say.
        num_tokens: Tokens of the answer; as many as events if the server does not say.
    """

    sent_at: float
    arrivals: tuple[float, ...]
    text: str
    num_prompt_tokens: int
    num_tokens: int

    @property
    def first_token_s(self) -> float:
        """Time to the first event that carries text."""
        return self.arrivals[0] - self.sent_at

    @property
    def gaps_s(self) -> list[float]:
        """Between neighbouring arrivals."""
        return [later - earlier for earlier, later in zip(self.arrivals, self.arrivals[1:], strict=False)]


async def stream_chat(
    url: str,
    messages: Sequence[Mapping[str, str]],
    *,
    model: str = "benchmark",
    on_event: Callable[[], None] = lambda: None,
    **parameters: Any,
) -> StreamTrace:
    """Send one streaming chat request and trace its answer. Greedy, and end of text is ignored where a server can.

    Args:
        url: Scheme, host, port and what stands before `/v1`.
        messages: The conversation.
        model: What the server calls the model.
        on_event: Called as each event arrives.
        parameters: Further members of the request's body.

    Raises:
        StreamFailed: Any status but 200, an error event, or an answer without text.
        OSError: The server cannot be reached or hangs up.
    """
    body = {
        "model": model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        "ignore_eos": True,
        **parameters,
    }
    clock = asyncio.get_running_loop().time
    address = urlsplit(url)
    secure = address.scheme == "https"
    reader, writer = await asyncio.open_connection(
        address.hostname, address.port or (443 if secure else 80), ssl=secure or None
    )
    events: list[Event] = []
    try:
        sent_at = clock()
        writer.write(_request(address.path.rstrip("/"), address.netloc, json.dumps(body).encode()))
        async for event in _events(reader):
            events.append((clock(), event))
            on_event()
    except asyncio.IncompleteReadError as error:
        raise StreamFailed("the server hung up in the middle of an answer") from error
    finally:
        writer.close()
    return _trace(sent_at, events)


def _request(prefix: str, host: str, payload: bytes) -> bytes:
    head = (
        f"POST {prefix}/v1/chat/completions HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + payload


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise StreamFailed((head.split(b"\r\n", 1)[0] + b": " + await reader.read(500)).decode(errors="replace"))
    pending = b""
    async for data in _chunks(reader) if b"chunked" in head.lower() else _pieces(reader):
        *whole, pending = (pending + data).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in whole:
            if event.startswith(b"data: "):
                yield event[6:]


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readline()).split(b";")[0].strip() or b"0", 16):
        yield (await reader.readexactly(size + 2))[:-2]


async def _pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await reader.read(1 << 16):
        yield data


def _trace(sent_at: float, events: Sequence[Event]) -> StreamTrace:
    arrivals, text = [], []
    usage: dict[str, int] = {}
    for at, data in events:
        if data == b"[DONE]":
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            raise StreamFailed(str(chunk["error"]))
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices", ()):
            if piece := choice.get("delta", {}).get("content"):
                arrivals.append(at)
                text.append(piece)
    if not arrivals:
        raise StreamFailed("the answer has no text")
    return StreamTrace(
        sent_at,
        tuple(arrivals),
        "".join(text),
        usage.get("prompt_tokens", 0),
        usage.get("completion_tokens", 0) or len(arrivals),
    )


def decode_rate(traces: Sequence[StreamTrace]) -> float:
    """Tokens a second of all streams together, from the last stream's first token to the first stream's last.

    Only the time in which every stream was running counts, so neither prefill nor stragglers blur the figure.

    Raises:
        StreamFailed: There is no such time.
    """
    begin = max(trace.arrivals[0] for trace in traces)
    end = min(trace.arrivals[-1] for trace in traces)
    if end <= begin:
        raise StreamFailed("the streams did not run at the same time: give them more tokens")
    tokens = 0.0
    for trace in traces:
        inside = sum(begin < at <= end for at in trace.arrivals)
        tokens += inside * trace.num_tokens / len(trace.arrivals)
    return tokens / (end - begin)


def prefill_rate(traces: Sequence[StreamTrace]) -> float:
    """Prompt tokens a second, from the first request sent to the last stream's first token.

    Raises:
        StreamFailed: The server does not count prompt tokens.
    """
    num_tokens = sum(trace.num_prompt_tokens for trace in traces)
    if not num_tokens:
        raise StreamFailed("the server does not tell how many tokens a prompt has")
    begin = min(trace.sent_at for trace in traces)
    return num_tokens / (max(trace.arrivals[0] for trace in traces) - begin)
