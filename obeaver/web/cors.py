"""Which web pages may call. Source: WHATWG Fetch, 3.2 "CORS protocol"; WICG Private Network Access."""

import re
from collections.abc import Callable, Iterable, Mapping

from obeaver.errors import Forbidden
from obeaver.web.error_shape import ErrorShape, own_shape
from obeaver.web.request import read_headers
from obeaver.web.response import Response, adding_headers
from obeaver.web.types import ASGIApp, Receive, Scope, Send

_LOOPBACK_ORIGIN = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4096}")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_VARY = {"vary": "Origin"}
_PREFLIGHT_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Private-Network"


class Cors:
    """Lets pages on loopback origins call, whatever their port, and pages on origins that were named.

    Only a named origin may send credentials. Browsers let any page send a plain POST and merely hide the answer from
    it; so a request that could do something, from a page of any other origin, is refused here.

    Args:
        app: The next layer.
        origins: Named origins such as `https://chat.example` or `file://`; `null` and `*`, without credentials, let
            pages without an origin call, and every page.
        shape_of: How errors look to who sent this request.
    """

    def __init__(
        self, app: ASGIApp, *, origins: Iterable[str] = (), shape_of: Callable[[Scope], ErrorShape] = own_shape
    ) -> None:
        self._app = app
        self._shape_of = shape_of
        self._named = {_without_slash(origin.lower()) for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, refuse what may not call, hand on the rest."""
        headers = read_headers(scope)
        origin = headers.get("origin")
        grant = self._grant(origin)
        if origin is not None and _is_preflight(scope, headers):
            answer = _preflight_response(headers, grant) if grant else self._refusal(scope)
            await answer(scope, receive, send)
        elif origin is None or grant or scope["method"] in _SAFE_METHODS or _is_same_origin(origin, headers):
            await self._app(scope, receive, adding_headers(send, {**_VARY, **grant}))
        else:
            await self._refusal(scope)(scope, receive, adding_headers(send, _VARY))

    def _refusal(self, scope: Scope) -> Response:
        message = "Pages of this origin may not call this server; --cors-origin names one that may."
        return self._shape_of(scope).response(Forbidden(message, code="origin_not_allowed"), scope)

    def _grant(self, origin: str | None) -> dict[str, str]:
        """What tells the browser that the page may read the answer; empty if it may not."""
        if origin is None:
            return {}
        exposed = {"access-control-expose-headers": "x-request-id, request-id, retry-after"}
        if origin.lower() in self._named:
            # Sandboxed frames of every page have the origin `null`.
            trusted = {} if origin == "null" else {"access-control-allow-credentials": "true"}
            return {"access-control-allow-origin": origin, **trusted, **exposed}
        if _LOOPBACK_ORIGIN.fullmatch(origin):
            return {"access-control-allow-origin": origin, **exposed}
        if "*" in self._named:
            return {"access-control-allow-origin": "*", **exposed}
        return {}


def _without_slash(origin: str) -> str:
    return origin if origin.endswith("://") else origin.rstrip("/")


def _is_preflight(scope: Scope, headers: Mapping[str, str]) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


def _is_same_origin(origin: str, headers: Mapping[str, str]) -> bool:
    # Without the scheme: a proxy in front may have taken TLS off.
    return origin.lower().partition("://")[2] == headers.get("host", "").lower()


def _preflight_response(headers: Mapping[str, str], grant: Mapping[str, str]) -> Response:
    answer = {
        **grant,
        "access-control-allow-methods": "GET, HEAD, POST, DELETE, OPTIONS",
        "access-control-max-age": "600",
        "vary": _PREFLIGHT_VARY,
    }
    # Echoed, since a bare `*` would not cover Authorization, and SDKs add headers of their own.
    asked = headers.get("access-control-request-headers", "")
    if _HEADER_NAMES.fullmatch(asked):
        answer["access-control-allow-headers"] = asked
    if headers.get("access-control-request-private-network") == "true":
        answer["access-control-allow-private-network"] = "true"
    return Response(status=204, headers=answer)
