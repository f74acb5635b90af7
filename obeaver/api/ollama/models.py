"""`/api/version`, `/api/tags`, `/api/ps` and `/api/show`: which models there are, in Ollama's words."""

import asyncio
import hashlib
from typing import Any, Final

from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.models.state import ApiState
from obeaver.api.ollama.answers import timestamp
from obeaver.api.ollama.names import plain_name, tagged_name
from obeaver.errors import BadRequest, NotFound
from obeaver.models.library import LibraryModel
from obeaver.models.summary import ModelSummary
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse

_NEVER: Final = "2318-04-10T00:00:00Z"
"""What Ollama itself says of a model that stays."""


class ModelsApi:
    """Handlers that tell of models.

    Args:
        state: The server's.
    """

    def __init__(self, state: ApiState) -> None:
        self._library = state.library
        self._models = state.models

    async def tags(self, _request: Request) -> JSONResponse:
        """`GET /api/tags`: every model that could answer."""
        found = await asyncio.to_thread(self._library.list)
        return JSONResponse({"models": [_model(model) for model in found]})

    async def running(self, _request: Request) -> JSONResponse:
        """`GET /api/ps`: the models in memory."""
        names = {model.name: model for model in self._models.in_memory}
        found = await asyncio.to_thread(self._library.list)
        return JSONResponse({"models": [_running(model) for model in found if model.stored.name in names]})

    async def show(self, request: Request) -> JSONResponse:
        """`POST /api/show`.

        Raises:
            BadRequest: The body is wrong.
            NotFound: There is no such model.
        """
        body = parse("ollama_show", await request.json())
        asked = body["model"] or body["name"]
        if asked is None:
            raise BadRequest("`model` is required.", param="model", code="missing_required_parameter")
        found = await asyncio.to_thread(self._library.list)
        for model in found:
            if model.stored.name == plain_name(asked).lower():
                return JSONResponse(_shown(model))
        raise NotFound("There is no such model here; /api/tags lists those that there are.", code="model_not_found")


def _model(model: LibraryModel) -> wire.Object:
    name = tagged_name(model.stored.name)
    modified_s = model.stored.folder.stat().st_mtime
    return {
        "name": name,
        "model": name,
        "modified_at": timestamp(modified_s),
        "size": model.summary.size_bytes,
        "digest": hashlib.sha256(f"{name} {model.summary.size_bytes} {modified_s}".encode()).hexdigest(),
        "details": _details(model.summary),
    }


def _running(model: LibraryModel) -> wire.Object:
    told = _model(model)
    del told["modified_at"]
    return told | {"expires_at": _NEVER, "size_vram": 0, "context_length": model.summary.context_length}


def _shown(model: LibraryModel) -> wire.Object:
    summary, told = model.summary, _model(model)
    family = summary.architecture
    licence = {"license": summary.licence} if summary.licence else {}
    return {
        **licence,
        "modelfile": f"FROM {model.stored.name}\n",
        "parameters": "",
        "template": summary.chat_template or "",
        "details": told["details"],
        "model_info": {
            "general.architecture": family,
            "general.basename": model.stored.name,
            f"{family}.context_length": summary.context_length,
            f"{family}.vocab_size": summary.vocab_size,
        },
        "capabilities": _capabilities(summary),
        "modified_at": told["modified_at"],
    }


def _details(summary: ModelSummary) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "onnx",
        "family": summary.architecture,
        "families": [summary.architecture],
        "parameter_size": "",
        "quantization_level": (summary.weights or "").upper(),
    }


def _capabilities(summary: ModelSummary) -> list[str]:
    able = {
        "completion": True,
        "tools": summary.tool_dialect is not None,
        "thinking": summary.think_markers is not None,
    }
    return [name for name, can in able.items() if can]
