"""Files of a folder, for browsers."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from obeaver.errors import NotFound
from obeaver.web.request import Request
from obeaver.web.response import Response

# Not from `mimetypes`, which reads the machine's own tables: there, `.js` may be text/plain.
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}


class StaticFiles:
    """A handler for a route such as `/static/{path:path}`: sends the file of that path below a folder.

    Nothing outside the folder is sent, whatever the path says and wherever links lead; nor are names that begin with a
    dot. Browsers keep a copy and ask each time whether it is still the current one.

    Args:
        root: The folder.
        headers: Further headers for every file.
    """

    def __init__(self, root: Path, *, headers: Mapping[str, str] | None = None) -> None:
        self._root = root.resolve()
        self._headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff", **(headers or {})}

    async def __call__(self, request: Request) -> Response:
        """The file, or 304 where the browser has it.

        Raises:
            NotFound: There is no such file in the folder.
        """
        return await asyncio.to_thread(self._respond, request)

    def _respond(self, request: Request) -> Response:
        file = self._find(request.path_params["path"])
        etag = _etag(file.stat())
        headers = {**self._headers, "etag": etag}
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status=304, headers=headers)
        media_type = _MEDIA_TYPES.get(file.suffix.lower(), "application/octet-stream")
        return Response(file.read_bytes(), headers=headers, media_type=media_type)

    def _find(self, path: str) -> Path:
        if not all(map(_is_plain, path.split("/"))):
            raise _no_file()
        try:
            file = (self._root / path).resolve(strict=True)
        except OSError:
            raise _no_file() from None
        if not (file.is_relative_to(self._root) and file.is_file()):
            raise _no_file()
        return file


def _is_plain(segment: str) -> bool:
    # A colon names a drive or a stream on Windows, where the backslash separates as well.
    return segment != "" and not segment.startswith(".") and not set("\\:\0") & set(segment)


def _etag(status: os.stat_result) -> str:
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'


def _matches(if_none_match: str, etag: str) -> bool:
    candidates = [candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")]
    return etag in candidates or "*" in candidates


def _no_file() -> NotFound:
    return NotFound("There is no such file.")
