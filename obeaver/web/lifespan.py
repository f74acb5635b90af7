"""ASGI's start-up and shutdown protocol. Source: ASGI lifespan sub-specification 2.0."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from obeaver.errors import ObeaverError
from obeaver.web.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)


class Lifespan:
    """The outermost layer: runs a context around the app's life, and hands on HTTP and nothing else.

    A context, because it closes what it opened in the opposite order, also when a later opening fails. One task enters
    and leaves it.

    Args:
        app: Gets the HTTP scopes.
        context: Makes the context: what comes before its `yield` happens before the first request, what comes after it
            when the last one has ended.
    """

    def __init__(self, app: ASGIApp, context: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        self._app = app
        self._context = context
        self._start_error: Exception | None = None

    @property
    def start_error(self) -> Exception | None:
        """Why the start failed, if it did."""
        return self._start_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or live through start-up and shutdown."""
        if scope["type"] == "http":
            await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            # A WebSocket, which the handshake's answer then refuses.
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._context())
            except Exception as error:  # noqa: BLE001  # told to the server, which ends the process
                self._start_error = error
                await send({"type": "lifespan.startup.failed", "message": _explain("start", error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._shut_down(stack, send)

    async def _shut_down(self, stack: AsyncExitStack, send: Send) -> None:
        try:
            await stack.aclose()
        except Exception as error:  # noqa: BLE001  # told to the server, which ends the process
            await send({"type": "lifespan.shutdown.failed", "message": _explain("stop", error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})


def _explain(action: str, error: Exception) -> str:
    """One line for the server to print. A traceback goes to the log only where the error is not one of ours."""
    if isinstance(error, ObeaverError):
        return str(error)
    logger.error("the server could not %s", action, exc_info=error)
    return f"{type(error).__name__}: {error}"
