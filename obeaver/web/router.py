"""(method, path) to handler, from one table: the same table answers 404 and 405."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from obeaver.errors import MethodNotAllowed, NotFound
from obeaver.web.error_shape import OWN_SHAPE, ErrorShape
from obeaver.web.request import DEFAULT_BODY_LIMITS, BodyLimits, Request
from obeaver.web.request_log import note_route
from obeaver.web.response import Response
from obeaver.web.types import ASGIApp, Receive, Scope, Send

Handler = Callable[[Request], Awaitable[ASGIApp]]
"""Answers a request; every response is an ASGI app."""


@dataclass(frozen=True, slots=True)
class Route:
    """A line of the table.

    Args:
        method: In capitals. GET answers HEAD as well.
        path: Segments are literal, `{name}` (one segment) or, as the last, `{name:path}` (one or more segments).
        handler: Called with the request.
        errors: How errors look on this path.

    Raises:
        ValueError: The pattern is malformed.
    """

    method: str
    path: str
    handler: Handler = field(compare=False)
    errors: ErrorShape = field(default=OWN_SHAPE, compare=False)

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f"a route's path begins with a slash: {self.path!r}")
        *front, _last = self.path.split("/")
        if any(segment.endswith(":path}") for segment in front):
            raise ValueError(f"only the last segment can be a path: {self.path!r}")

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that this line answers."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """The path parameters, or None where the path is another one.

        Args:
            segments: The request's path, split at its slashes, each percent-decoded.
        """
        pattern = self.path.split("/")
        if pattern[-1].endswith(":path}"):
            num_front = len(pattern) - 1
            segments = [*segments[:num_front], "/".join(segments[num_front:])]
        if len(pattern) != len(segments):
            return None
        params: dict[str, str] = {}
        for expected, actual in zip(pattern, segments, strict=True):
            if expected.startswith("{") and actual:
                params[expected.strip("{}").removesuffix(":path")] = actual
            elif expected != actual:
                return None
        return params


class Router:
    """The ASGI app that answers HTTP requests from a table of routes; of two that match, the first.

    One trailing slash makes no difference. A redirect instead would make some clients drop the body or the key.

    Args:
        routes: The table.
        limits: Of what handlers can read.
    """

    def __init__(self, routes: Iterable[Route], *, limits: BodyLimits = DEFAULT_BODY_LIMITS) -> None:
        self.routes = tuple(routes)
        # A path may have thousands of segments; none that is here has.
        self._depth = max((len(route.path.split("/")) for route in self.routes), default=0)
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            NotFound: No route has this path.
            MethodNotAllowed: Some have, for other methods.
        """
        response = await self._respond(scope, receive)
        await response(scope, receive, send)

    def error_shape(self, scope: Scope) -> ErrorShape:
        """How errors look to who sent this request, whether a route answers it or not.

        It is the shape of the path's own route, whatever the method; else that of the nearest route above it, or what
        most routes beside it have: clients that ask for something unknown are those of its neighbours.
        """
        segments = split_path(scope)
        own = next((route.errors for route in self.routes if route.match(segments) is not None), None)
        if own is not None:
            return own
        for depth in range(min(len(segments) - 1, self._depth), 1, -1):
            path = "/".join(segments[:depth])
            above = [route.errors for route in self.routes if route.path == path]
            beside = [route.errors for route in self.routes if route.path.rpartition("/")[0] == path]
            if near := above or beside:
                return Counter(near).most_common(1)[0][0]
        return OWN_SHAPE

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        segments = split_path(scope)
        allowed: set[str] = set()
        for route in self.routes:
            params = route.match(segments)
            if params is None:
                continue
            note_route(scope, route.path)
            if scope["method"] in route.methods:
                request = Request(scope, receive, path_params=params, limits=self._limits)
                return await route.handler(request)
            allowed.update(route.methods)
        return _without_route(scope["method"], allowed)


def split_path(scope: Scope) -> list[str]:
    """The path's segments, split before they are decoded: an escaped slash is part of its segment."""
    raw_path: bytes | None = scope.get("raw_path")
    path: str = scope["path"] if raw_path is None else raw_path.decode("latin-1")
    segments = path.split("/")
    if raw_path is not None:
        segments = [unquote(segment) for segment in segments]
    return segments[:-1] if len(segments) > 2 and not segments[-1] else segments


def _without_route(method: str, allowed: set[str]) -> Response:
    if not allowed:
        raise NotFound("There is no such path here; / lists what there is.")
    allow = {"Allow": ", ".join(sorted(allowed | {"OPTIONS"}))}
    if method == "OPTIONS":
        return Response(status=204, headers=allow)
    raise MethodNotAllowed(f"This path answers {allow['Allow']}.", headers=allow)
