"""HTTP/1.0 knows no chunks: an answer of unknown length is collected first, and then sent with its length.

Source: RFC 9112, section 6.1: no transfer coding may be sent to a client of HTTP/1.0. Proxies with old settings are
such clients. They lose the stream, and nothing of the answer.
"""

from obeaver.web.types import ASGIApp, Message, Receive, Scope, Send


class WholeForHttp10:
    """Sends an answer in one piece to a client of HTTP/1.0, and leaves all others alone.

    Stands outside of everything that looks at answers, so that an answer that was cut off is not sent at all.

    Args:
        app: The next layer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope.get("http_version") == "1.0":
            send = _Collector(send).send
        await self._app(scope, receive, send)


class _Collector:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not _has_length(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_whole(self._start)

    async def _send_whole(self, start: Message) -> None:
        length = (b"content-length", str(len(self._body)).encode())
        await self._send({**start, "headers": [*start.get("headers", ()), length]})
        await self._send({"type": "http.response.body", "body": bytes(self._body), "more_body": False})


def _has_length(start: Message) -> bool:
    return any(name == b"content-length" for name, _ in start.get("headers", ()))
