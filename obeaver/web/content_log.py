"""What clients say and are told, in the log, where the operator asks for it (`--log-prompts`)."""

import json
import logging
from typing import Final

from obeaver.web.request import REQUEST_ID_KEY
from obeaver.web.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("obeaver.content")

MOST_BYTES: Final = 100_000
"""Of a request's body, and of its answer; what is longer is cut in the log."""


class ContentLog:
    """Writes the body of each POST and of its answer as two lines of the level INFO, streams as they were sent.

    Headers are left out, and with them the keys.

    Args:
        app: The next layer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then log."""
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        asked, answered = _Kept(), _Kept()

        async def receive_and_keep() -> Message:
            message = await receive()
            asked.add(message.get("body", b""))
            return message

        async def send_and_keep(message: Message) -> None:
            answered.add(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive_and_keep, send_and_keep)
        finally:
            request_id = scope.get(REQUEST_ID_KEY, "-")
            logger.info("%s was asked %s", request_id, asked)
            logger.info("%s was answered %s", request_id, answered)


class _Kept:
    """The beginning of a body."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._num_bytes = 0

    def add(self, part: bytes) -> None:
        self._num_bytes += len(part)
        self._body += part[: max(0, MOST_BYTES - len(self._body))]

    def __str__(self) -> str:
        """One line, in the quotes of JSON."""
        text = json.dumps(self._body.decode(errors="replace"), ensure_ascii=False)
        num_more = self._num_bytes - len(self._body)
        return f"{text} and {num_more} bytes more" if num_more else text
