"""Pages that only watch, as the server meets them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

from support.server import serve

from benchmarks.load.pages import Pages
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream
from obeaver.web.types import Receive, Scope, Send


async def test_each_page_listens_and_polls_until_it_is_closed() -> None:
    asked: Counter[str] = Counter()
    left = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked[scope["path"]] += 1
        if scope["path"] != "/api/engine":
            await JSONResponse({})(scope, receive, send)
            return

        async def events() -> AsyncIterator[bytes]:
            try:
                yield b"data: {}\n\n"
                await asyncio.Event().wait()
            finally:
                left.set()

        await EventStream(events())(scope, receive, send)

    async with serve(app) as port:
        pages = Pages()
        assert await asyncio.to_thread(pages.open, f"http://127.0.0.1:{port}", 3) == 3
        async with asyncio.timeout(60):
            while asked.keys() != {"/api/engine", "/api/system/memory", "/health"} or min(asked.values()) < 3:  # noqa: ASYNC110  # another thread asks
                await asyncio.sleep(0.02)
        assert await asyncio.to_thread(pages.close) > 0
        async with asyncio.timeout(60):
            await left.wait()
