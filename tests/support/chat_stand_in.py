"""A chat server of a few lines on a free port: it says what it is told to, and stalls when it is told to."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

STALL_S = 2.0


def event(content: str | None = None, **members: object) -> bytes:
    """One server-sent event with a chunk."""
    choices = [] if content is None else [{"index": 0, "delta": {"content": content}}]
    return b"data: " + json.dumps({"choices": choices, **members}).encode() + b"\n\n"


ANSWER = (event("two"), event(" words"), event(usage={"prompt_tokens": 7, "completion_tokens": 2}), b"data: [DONE]\n\n")


@dataclass(slots=True)
class ChatStandIn:
    """The server.

    Attributes:
        url: Where it listens.
        pieces: The body that it sends, each piece in a write of its own.
        status: Of its answers.
        chunked: Whether it sends chunks, or closes the connection at the end.
        stall_at: Number of the request, from 1, at which it stops answering for two seconds; 0 for never.
        waits_after_first: Set by somebody before it sends more than the first piece.
        waits_at_end: Set by somebody before it closes the connection.
        breaks_off: Whether it hangs up before the last chunk.
        num_held: Requests that came during the stall.
        bodies: Of the requests.
    """

    url: str = ""
    pieces: Sequence[bytes] = ANSWER
    status: str = "200 OK"
    chunked: bool = True
    stall_at: int = 0
    waits_after_first: asyncio.Event | None = None
    waits_at_end: asyncio.Event | None = None
    breaks_off: bool = False
    num_held: int = 0
    bodies: list[dict[str, object]] = field(default_factory=list)
    _goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length is not None
        self.bodies.append(json.loads(await reader.readexactly(int(length[1]))))
        await self._stall()
        kind = b"Transfer-Encoding: chunked\r\n" if self.chunked else b""
        writer.write(f"HTTP/1.1 {self.status}\r\nContent-Type: text/event-stream\r\n".encode() + kind + b"\r\n")
        for piece in self.pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece)
            await writer.drain()
            await (self.waits_after_first.wait() if self.waits_after_first else asyncio.sleep(0))
        if self.chunked and not self.breaks_off:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        if self.waits_at_end:
            await self.waits_at_end.wait()
        writer.close()

    async def _stall(self) -> None:
        if len(self.bodies) == self.stall_at:
            asyncio.get_running_loop().call_later(STALL_S, self._goes_on.set)
        if len(self.bodies) >= self.stall_at > 0 and not self._goes_on.is_set():
            self.num_held += 1
            await self._goes_on.wait()


@asynccontextmanager
async def chat_stand_in(stand_in: ChatStandIn) -> AsyncIterator[ChatStandIn]:
    """Let it listen until the block ends."""
    server = await asyncio.start_server(stand_in._answer, "127.0.0.1", 0, backlog=1024)  # noqa: SLF001
    stand_in.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield stand_in
