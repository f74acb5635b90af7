"""A streaming client that costs little, so that client and server can share two cores.

It notes what arrives and when, and understands it only after the stream has ended. `stream_chat` works against any
server of the OpenAI chat API, `stream_words` in any words that are told it.
"""

import asyncio
import bisect
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Piece = tuple[float, bytes]
Tokens = tuple[int, int]
"""Of the prompt and of the answer."""

_LAST_CHUNK = b"0\r\n\r\n"


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


@dataclass(frozen=True, slots=True)
class Words:
    """How a protocol words a streamed answer.

    Attributes:
        path: Where it is asked for.
        text: The text that an event or a line adds; "" for none.
        tokens: What it tells of the tokens so far; None for nothing.
    """

    path: str
    text: Callable[[Any], str]
    tokens: Callable[[Any], Tokens | None]


def _text(chunk: Any) -> str:
    return "".join(choice.get("delta", {}).get("content") or "" for choice in chunk.get("choices", ()))


def _tokens(chunk: Any) -> Tokens | None:
    usage = chunk.get("usage")
    return usage and (usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))


CHAT = Words("/v1/chat/completions", _text, _tokens)


async def stream_chat(
    url: str,
    messages: Sequence[Mapping[str, str]],
    *,
    model: str = "benchmark",
    on_data: Callable[[], None] = lambda: None,
    **parameters: Any,
) -> StreamTrace:
    """Send one streaming chat request and trace its answer. Greedy, and end of text is ignored where a server can.

    Args:
        url: Scheme, host, port and what stands before `/v1`.
        messages: The conversation.
        model: What the server calls the model.
        on_data: Called whenever something arrives.
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
    return await stream_words(CHAT, url, body, on_data)


async def stream_words(
    words: Words, url: str, body: Mapping[str, Any], on_data: Callable[[], None] = lambda: None
) -> StreamTrace:
    """Send one request for a stream and trace its answer.

    Args:
        words: The protocol's.
        url: Scheme, host, port and what stands before the path.
        body: Of the request.
        on_data: Called whenever something arrives.

    Raises:
        StreamFailed: Any status but 200, an error event, or an answer without text.
        OSError: The server cannot be reached or hangs up.
    """
    loop, address = asyncio.get_running_loop(), urlsplit(url)
    secure = address.scheme == "https"
    transport, answer = await loop.create_connection(
        lambda: _Recorder(loop, on_data),
        address.hostname or "",
        address.port or (443 if secure else 80),
        ssl=secure or None,
    )
    try:
        sent_at = loop.time()
        transport.write(_request(address.path.rstrip("/") + words.path, address.netloc, json.dumps(body).encode()))
        await answer.ended
    finally:
        transport.close()
    return _trace(words, sent_at, list(_events(answer.pieces)))


class _Recorder(asyncio.Protocol):
    """Keeps what arrives, and when. Nothing is understood before the end, except that it is the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_data: Callable[[], None]) -> None:
        self._clock = loop.time
        self._on_data = on_data
        self.pieces: list[Piece] = []
        self.ended = loop.create_future()

    def data_received(self, data: bytes) -> None:
        """The transport has read something."""
        self.pieces.append((self._clock(), data))
        self._on_data()
        # Some servers leave the connection open, whatever they are told.
        if data.endswith(_LAST_CHUNK):
            self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """The server has hung up."""
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)


def _request(path: str, host: str, payload: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + payload


def _events(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The data of each event or line, with the time at which its last byte came."""
    whole = b"".join(data for _, data in pieces)
    head, _, _ = whole.partition(b"\r\n\r\n")
    body_at = len(head) + 4
    status = head.split(b"\r\n", 1)[0]
    if b" 200 " not in status:
        raise StreamFailed((status + b": " + whole[body_at : body_at + 500]).decode(errors="replace"))
    pending = b""
    for at, data in (_chunks if b"chunked" in head.lower() else _rest)(pieces, whole, body_at):
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            if line.startswith((b"data: ", b"{")):
                yield at, line.removeprefix(b"data: ").rstrip(b"\r")


def _rest(pieces: Sequence[Piece], whole: bytes, place: int) -> Iterator[Piece]:
    """A body that ends with the connection: the pieces, without the head."""
    stop = 0
    for at, data in pieces:
        stop += len(data)
        if stop > place:
            yield at, whole[place:stop]
            place = stop


def _chunks(pieces: Sequence[Piece], whole: bytes, place: int) -> Iterator[Piece]:
    """A body in chunks: the data of each, with the time at which it was complete."""
    stops = list(itertools.accumulate(len(data) for _, data in pieces))
    while (line_end := whole.find(b"\r\n", place)) >= 0:
        size = int(whole[place:line_end].split(b";")[0], 16)
        if not size:
            return
        stop = line_end + 2 + size
        if stop > len(whole):
            break
        at, _ = pieces[bisect.bisect_left(stops, stop)]
        yield at, whole[line_end + 2 : stop]
        place = stop + 2
    raise StreamFailed("the server hung up in the middle of an answer")


def _trace(words: Words, sent_at: float, events: Sequence[Piece]) -> StreamTrace:
    arrivals, text = [], []
    num_prompt, num_tokens = 0, 0
    for at, data in events:
        if data == b"[DONE]":
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            raise StreamFailed(str(chunk["error"]))
        num_prompt, num_tokens = words.tokens(chunk) or (num_prompt, num_tokens)
        if piece := words.text(chunk):
            arrivals.append(at)
            text.append(piece)
    if not arrivals:
        raise StreamFailed("the answer has no text")
    return StreamTrace(sent_at, tuple(arrivals), "".join(text), num_prompt, num_tokens or len(arrivals))


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
