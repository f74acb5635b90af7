"""A server in front of another that answers chats by itself, at a pace that is asked for, and hands on all the rest.

Its answers are server-sent events over a real connection, as a browser meets them.
"""

import asyncio
import functools
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@dataclass(slots=True)
class Answer:
    """What is answered from now on.

    Attributes:
        pieces: Texts of the tokens.
        per_s: Tokens a second.
    """

    pieces: list[str]
    per_s: float


class PacedChat:
    """The server; its `answer` may be changed between requests."""

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "", address.port or 80)
        self.url = ""
        self.answer = Answer(["Hello."], 100.0)
        self._listening = threading.Event()
        self._connections: set[asyncio.Task[object] | None] = set()
        self._stop: Callable[[], object] = self._listening.clear
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self) -> None:
        """Listen, in a thread of its own."""
        self._thread.start()
        self._listening.wait()

    def stop(self) -> None:
        """Answer nobody any more."""
        self._stop()
        self._thread.join()

    async def _serve(self) -> None:
        loop, ending = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._stop = functools.partial(loop.call_soon_threadsafe, ending.set)
        self._listening.set()
        await ending.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A loop holds its tasks weakly: one whose browser never asks anything would be thrown away.
        self._connections.add(asyncio.current_task())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST /v1/chat/completions"):
                await self._stream(writer)
            else:
                await self._hand_on(head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the browser left
        finally:
            self._connections.discard(asyncio.current_task())
            writer.close()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        """What is late is sent together, so that the pace holds however late this task comes to its turn."""
        loop, answer = asyncio.get_running_loop(), self.answer
        writer.write(_HEAD)
        begun = loop.time()
        for number, piece in enumerate(answer.pieces):
            writer.write(_event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}))
            await writer.drain()
            await asyncio.sleep(max(0.0, begun + (number + 1) / answer.per_s - loop.time()))
        usage = {"prompt_tokens": 9, "completion_tokens": len(answer.pieces)}
        writer.write(_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        writer.write(_event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n")
        await writer.drain()

    async def _hand_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of a connection; asked not to keep it, so that the next one comes here again."""
        there, back = await asyncio.open_connection(*self._upstream)
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        try:
            back.write(re.sub(rb"\r\nconnection: [^\r]*", b"", head[:-4], flags=re.IGNORECASE))
            back.write(b"\r\nConnection: close\r\n\r\n" + body)
            while data := await there.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            back.close()


@contextmanager
def paced_chat(upstream: str) -> Iterator[PacedChat]:
    """Let it run in a thread until the block ends."""
    chat = PacedChat(upstream)
    chat.start()
    try:
        yield chat
    finally:
        chat.stop()


def _event(chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
