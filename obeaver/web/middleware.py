"""Layers around the router that every request passes: request ids, the access log, the error boundary.

Pure ASGI apps, for HTTP scopes only. From the outside in, they and those of the neighbouring modules stand like this:

    Lifespan         takes the lifespan protocol; hands only HTTP on
    WholeForHttp10   an old client gets streams in one piece
    RequestId        every answer has an id, those of the layers below too
    AccessLog        every answer is logged, with that id
    ContentLog       what was said is logged, where the operator asks for it
    SafeAnswers      no answer is taken for a page, and none is kept on its way
    Cors             pages that may call can read every answer, errors too; preflights need no key
    ErrorBoundary    what is raised below becomes an answer
    HostCheck        Forbidden
    Drain            Unavailable while the server stops; counts what is being answered
    Deadline         TimedOut
    ApiKey           Unauthorized; says whose the key is
    ClientLimit      TooManyRequests
    Router
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable
from urllib.parse import quote

from obeaver.errors import ApiError, InternalError
from obeaver.web import ndjson, sse
from obeaver.web.error_shape import ErrorShape, own_shape
from obeaver.web.log_labels import LogLabels, labelled, log_labels
from obeaver.web.request import REQUEST_ID_KEY, ClientDisconnected, read_headers
from obeaver.web.request_log import LoggedRequest, RequestLog, note_error, with_notes
from obeaver.web.response import adding_headers
from obeaver.web.trace_context import HEADER as TRACE_HEADER
from obeaver.web.trace_context import new_span_id, read_trace_context
from obeaver.web.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("obeaver.access")

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_FAREWELL_S = 1.0
"""How long a client that has stopped reading may hold up the last event of its stream."""

_CLIENT_LEFT = 499
"""nginx's status for a client that left before its answer; only the log has it."""


_STREAM_TYPES = (sse.MEDIA_TYPE.encode(), ndjson.MEDIA_TYPE.encode())
"""Media types of which each part is whole in itself, so that one more can tell of an error."""


def _new_request_id() -> str:
    return f"req_{uuid.uuid4().hex}"


class RequestId:
    """Gives each request an id: the client's own X-Request-Id where that is plain, else a new one.

    A client that keeps a trace is told where its request stands in it. What is logged meanwhile knows both.

    Args:
        app: The next layer; finds the id in the scope.
        new_id: Makes an id.
        new_span: Makes the id of a span.
    """

    def __init__(
        self, app: ASGIApp, *, new_id: Callable[[], str] = _new_request_id, new_span: Callable[[], str] = new_span_id
    ) -> None:
        self._app = app
        self._new_id = new_id
        self._new_span = new_span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with `x-request-id`, and with `traceparent` who sent one."""
        headers = read_headers(scope)
        given = headers.get("x-request-id", "")
        # Anything else could forge lines in the log.
        request_id = given if _SANE_REQUEST_ID.fullmatch(given) else self._new_id()
        answered = {"x-request-id": request_id}
        trace = read_trace_context(headers.get(TRACE_HEADER, ""))
        if trace is not None:
            trace = trace.child(self._new_span())
            answered[TRACE_HEADER] = trace.header()
        with labelled(LogLabels(request_id, trace)):
            await self._app({**scope, REQUEST_ID_KEY: request_id}, receive, adding_headers(send, answered))


class AccessLog:
    """One line on `obeaver.access` when an answer has ended: client, method, path, status, bytes, duration, id.

    The query is left out: people put keys there. A client that left before its answer has the status 499. Of those who
    ask every few seconds how things stand, only what fails is told above the level DEBUG.

    Args:
        app: The next layer.
        log: Keeps the latest requests, for those who watch.
        measure: Hears of every request that is over.
        clock: Seconds.
        wall_clock: Seconds since 1970.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        log: RequestLog | None = None,
        measure: Callable[[LoggedRequest], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._log = log
        self._measure = measure
        self._clock = clock
        self._wall_clock = wall_clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then log."""
        progress = _Progress(send)
        started_at, start_s = self._wall_clock(), self._clock()
        scope, notes = with_notes(scope)
        try:
            await self._app(scope, receive, progress.send)
        finally:
            request = LoggedRequest(
                number=0,
                id=scope.get(REQUEST_ID_KEY, "-"),
                method=scope["method"],
                path=_loggable_path(scope),
                status=progress.status or _CLIENT_LEFT,
                complete=progress.complete,
                started_at=started_at,
                duration_s=self._clock() - start_s,
                tokens=notes.tokens(),
                route=notes.route,
                error=notes.error,
            )
            self._write(request, progress.num_bytes, (scope.get("client") or ("-",))[0])

    def _write(self, request: LoggedRequest, num_bytes: int, client: str) -> None:
        labels = log_labels()
        trace = None if labels is None else labels.trace
        access_logger.log(
            logging.DEBUG if request.is_watching else logging.INFO,
            '%s "%s %s" %d%s %d bytes %.1f ms %s%s',
            client,
            request.method,
            request.path,
            request.status,
            "" if request.complete else " (cut off)",
            num_bytes,
            request.duration_s * 1000,
            request.id,
            "" if trace is None else f" trace {trace.trace_id}",
            extra={
                "client": client,
                "method": request.method,
                "path": request.path,
                "route": request.route,
                "status": request.status,
                "complete": request.complete,
                "bytes": num_bytes,
                "duration_ms": round(request.duration_s * 1000, 1),
                "error_code": request.error,
                "prompt_tokens": None if request.tokens is None else request.tokens.prompt,
                "answer_tokens": None if request.tokens is None else request.tokens.answer,
            },
        )
        if self._log is not None:
            self._log.add(request)
        if self._measure is not None:
            self._measure(request)


class ErrorBoundary:
    """Turns what is raised below into an answer, so that a client never waits for one in vain.

    Before the response has started, the answer is the error's status and body. After that, a stream ends with one more
    event or line, and any other response is cut off: the server then closes the connection, and the client sees that
    something is missing. Tracebacks go to the log, with the request's id, never to the client.

    Args:
        app: The next layer.
        shape_of: How errors look to who sent this request.
    """

    def __init__(self, app: ASGIApp, *, shape_of: Callable[[Scope], ErrorShape] = own_shape) -> None:
        self._app = app
        self._shape_of = shape_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens below. Cancellation passes."""
        progress = _Progress(send)
        try:
            await self._app(scope, receive, progress.send)
        except ClientDisconnected:
            logger.debug("%s: the client has left", scope.get(REQUEST_ID_KEY))
        except InternalError as error:
            logger.exception("%s: %s", scope.get(REQUEST_ID_KEY), error.message)
            await self._tell(error, progress, scope, receive)
        except ApiError as error:
            await self._tell(error, progress, scope, receive)
        except Exception:
            request_id = scope.get(REQUEST_ID_KEY, "unknown")
            logger.exception("%s: unexpected error", request_id)
            message = f"Internal error. The server's log has the details under {request_id}."
            await self._tell(InternalError(message), progress, scope, receive)

    async def _tell(self, error: ApiError, progress: "_Progress", scope: Scope, receive: Receive) -> None:
        shape = self._shape_of(scope)
        note_error(scope, error.code or error.type)
        if not progress.started:
            await shape.response(error, scope)(scope, receive, progress.send)
        elif progress.is_stream and not progress.complete:
            await _end_with(shape.last_event(error), progress.send)


async def _end_with(event: bytes, send: Send) -> None:
    try:
        async with asyncio.timeout(_FAREWELL_S):
            await send({"type": "http.response.body", "body": event, "more_body": False})
    except TimeoutError:
        logger.info("a client that does not read was not told why its stream ended")


class _Progress:
    """A `send` that remembers how far the response has come."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        self.is_stream = False
        self.complete = False
        self.num_bytes = 0

    @property
    def started(self) -> bool:
        return self.status is not None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            content_type = dict(message["headers"]).get(b"content-type", b"")
            self.is_stream = content_type.startswith(_STREAM_TYPES)
            await self._send(message)
        else:
            await self._send(message)
            self.num_bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)


def _loggable_path(scope: Scope) -> str:
    # Still percent-encoded, hence without line ends; the decoded path may hold some.
    raw_path: bytes | None = scope.get("raw_path")
    return quote(scope["path"]) if raw_path is None else raw_path.decode("latin-1")
