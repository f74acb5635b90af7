"""Layers that decide who may call: HostCheck and ApiKey."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from obeaver.errors import Forbidden, Unauthorized
from obeaver.web.request import CALLER_KEY, read_headers
from obeaver.web.types import ASGIApp, Receive, Scope, Send

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:/?#@\[\],]+))(?::\d{0,5})?")

PROBES = ("/health", "/health/live", "/health/ready")
"""What supervisors ask: how the server is, whether it can go on, whether it answers now."""

DEFAULT_OPEN_PATHS = ("/", *PROBES)
"""What is read before there is a key: that there is a server, and whether it is well."""


class HostCheck:
    """Refuses requests whose Host header names somebody else.

    Against DNS rebinding: when a page's own name was made to resolve to this machine, the browser takes the server for
    the page's own, and only Host tells. Accepted are `localhost`, loopback addresses, the address that the connection
    came in at, the host that the server was bound to, and names that were given. The port does not matter.

    Args:
        app: The next layer.
        bound_host: What the server listens on, as the user wrote it.
        names: Further host names; `*` accepts every one.
    """

    def __init__(self, app: ASGIApp, *, bound_host: str, names: Iterable[str] = ()) -> None:
        self._app = app
        self._names = {_plain(name) for name in ("localhost", bound_host, *names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what names this server.

        Raises:
            Forbidden: code `host_not_allowed`: another name, none, or more than one.
        """
        if not self._accepts(read_headers(scope).get("host", ""), scope):
            raise Forbidden(
                "The Host header is not a name of this server; --allowed-host adds one.", code="host_not_allowed"
            )
        await self._app(scope, receive, send)

    def _accepts(self, host: str, scope: Scope) -> bool:
        if "*" in self._names:
            return True
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = _plain(match["v6"] or match["name"])
        return name in self._names or self._is_own_address(name, scope)

    def _is_own_address(self, name: str, scope: Scope) -> bool:
        address = _address(name)
        if address is None:
            return False
        server = scope.get("server") or ("",)
        return address.is_loopback or address == _address(server[0])


class ApiKey:
    """Asks for a key, as `Authorization: Bearer KEY` or as `x-api-key: KEY`, and tells whose it is: `Request.caller`.

    Args:
        app: The next layer.
        keys: Any of them will do. At least one, none of them empty.
        open_paths: Paths that need none. One that ends with a slash stands for all below it, the root apart.
    """

    def __init__(self, app: ASGIApp, *, keys: Iterable[str], open_paths: Iterable[str] = DEFAULT_OPEN_PATHS) -> None:
        self._app = app
        self._keys = {key.encode(): _digest(key.encode()) for key in keys}
        if not all(self._keys) or not self._keys:
            raise ValueError("an empty API key would let everybody in")
        paths = tuple(open_paths)
        self._open_prefixes = tuple(path for path in paths if path.endswith("/") and path != "/")
        self._open_paths = frozenset(paths) - set(self._open_prefixes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what has the key.

        Raises:
            Unauthorized: code `invalid_api_key`.
        """
        caller = self._caller(scope)
        if caller is None and not self._is_open(scope["path"]):
            raise Unauthorized(
                "No API key, or a wrong one: send it as Authorization: Bearer KEY.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        await self._app(scope if caller is None else {**scope, CALLER_KEY: caller}, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open_paths or path.startswith(self._open_prefixes)

    def _caller(self, scope: Scope) -> str | None:
        headers = read_headers(scope)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        # SDKs send a bearer token even where the user put the real key into the other header.
        return self._caller_with(bearer) or self._caller_with(headers.get("x-api-key", ""))

    def _caller_with(self, given: str) -> str | None:
        # In constant time: how long it takes must not tell how many characters were right, nor of which key.
        same = [hmac.compare_digest(given.encode("latin-1"), key) for key in self._keys]
        return next((digest for digest, is_it in zip(self._keys.values(), same, strict=True) if is_it), None)


def _digest(key: bytes) -> str:
    """A name for who has a key, which may be written down where the key may not."""
    return hashlib.sha256(b"obeaver caller " + key).hexdigest()[:32]


def _plain(name: str) -> str:
    return name.lower().strip("[]").rstrip(".")


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(name)
    except ValueError:
        return None
    # How a socket that serves both families names an IPv4 peer.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
