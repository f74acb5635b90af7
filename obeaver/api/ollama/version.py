"""`GET /api/version`, where Ollama's clients look whether anybody is there; every server has it."""

from obeaver import __version__
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse


async def tell_version(_request: Request) -> JSONResponse:
    """The version of obeaver."""
    return JSONResponse({"version": __version__})
