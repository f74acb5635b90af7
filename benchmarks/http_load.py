"""A streaming chat client that costs little, so that client and server can share two cores.

It stamps each event as it arrives and parses JSON only after the stream has ended. Works against any server of the
OpenAI chat API.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


class BenchmarkFailed(Exception):
    """A server answered an error; figures of this run would be meaningless."""


@dataclass(frozen=True, slots=True)
class StreamTrace:
    """One streamed answer. Times are seconds of `time.perf_counter`."""

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
    def gaps(self) -> list[float]:
        """Seconds between neighbouring arrivals."""
        return [later - earlier for earlier, later in zip(self.arrivals, self.arrivals[1:], strict=False)]


async def stream_chat(base_url: str, messages: Sequence[Mapping[str, str]], **parameters: Any) -> StreamTrace:
    """Send one streaming chat request and trace its answer.

    Raises:
        BenchmarkFailed: Any status but 200, or an error event.
    """
    address = urlsplit(base_url)
    body = {
        "model": "benchmark",
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        "ignore_eos": True,
        **parameters,
    }
    payload = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        sent_at = time.perf_counter()
        writer.write(
            f"POST {address.path.rstrip('/')}/v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n".encode()
            + payload
        )
        events = await _read_events(reader)
    finally:
        writer.close()
    return _trace(sent_at, events)


async def _read_events(reader: asyncio.StreamReader) -> list[tuple[float, bytes]]:
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise BenchmarkFailed((head + await reader.read(2000)).decode(errors="replace"))
    events, pending = [], b""
    while size := int((await reader.readline()).strip() or b"0", 16):
        pending += (await reader.readexactly(size + 2))[:-2]
        *whole, pending = pending.split(b"\n\n")
        now = time.perf_counter()
        events += [(now, event[6:]) for event in whole if event.startswith(b"data: ")]
    return events


def _trace(sent_at: float, events: Sequence[tuple[float, bytes]]) -> StreamTrace:
    arrivals, text, usage = [], [], {"prompt_tokens": 0, "completion_tokens": 0}
    for at, data in events:
        if data == b"[DONE]":
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            raise BenchmarkFailed(str(chunk["error"]))
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            if piece := choice["delta"].get("content"):
                arrivals.append(at)
                text.append(piece)
    if not arrivals:
        raise BenchmarkFailed("the answer has no text")
    return StreamTrace(sent_at, tuple(arrivals), "".join(text), usage["prompt_tokens"], usage["completion_tokens"])


def decode_rate(traces: Sequence[StreamTrace]) -> float:
    """Tokens a second of all streams together, from the last stream's first token to the first stream's last.

    Only the time in which every stream was running counts, so neither prefill nor stragglers blur the figure.
    """
    begin = max(trace.arrivals[0] for trace in traces)
    end = min(trace.arrivals[-1] for trace in traces)
    if end <= begin:
        raise BenchmarkFailed("the streams did not run at the same time: give them more tokens")
    tokens = 0.0
    for trace in traces:
        inside = sum(begin < at <= end for at in trace.arrivals)
        tokens += inside * trace.num_tokens / len(trace.arrivals)
    return tokens / (end - begin)
