"""`/api/models`: which models could be loaded, and loading one while others answer."""

import asyncio

from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.models.memory_figures import memory_object, mib
from obeaver.api.models.model_load import load_error
from obeaver.api.models.state import ApiState
from obeaver.errors import BadRequest, ModelError, NotFound
from obeaver.models.library import LibraryModel
from obeaver.models.store import StoredModel
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import run_until_disconnect

_WAIT = {"": True, "true": True, "1": True, "false": False, "0": False}


class ModelLoadingApi:
    """Handlers of the models that are not loaded yet."""

    def __init__(self, state: ApiState) -> None:
        self._models = state.models
        self._library = state.library

    async def available(self, _request: Request) -> JSONResponse:
        """`GET /api/models/available`."""
        found, memory = await asyncio.to_thread(lambda: (self._library.list(), self._models.loader.memory()))
        current = self._models.held[0] if self._models.held else None
        engine = None if current is None or current.loaded is None else current.loaded.worker.snapshot().label
        models = [self._row(model) for model in found]
        told = {"current": current and current.name, "engine": engine, "memory": memory_object(memory)}
        return JSONResponse(told | {"models": models})

    async def load(self, request: Request) -> JSONResponse:
        """`POST /api/models/load`.

        Raises:
            BadRequest: The body or the query is wrong, or there is no such device.
            NotFound: There is no such model.
            Conflict: Another load is under way.
            ModelLoadFailed: It cannot be loaded; those that answer go on.
        """
        body = parse("load_model", await request.json())
        wait = _wait(request.query.get("wait", ""))
        await asyncio.to_thread(self._models.loader.check_device, body["device"])
        stored = await self._find(body["alias"], body["model_id"])
        load = self._models.start_load(stored, body["device"])
        if not wait:
            return JSONResponse({"status": "loading", "model": stored.name}, status=202)
        await run_until_disconnect(request, load.wait())  # if the client leaves, the load goes on
        return JSONResponse({"status": "ok", "model": stored.name})

    async def _find(self, alias: str, model_id: str | None) -> StoredModel:
        try:
            stored = await asyncio.to_thread(self._library.find, alias)
        except ModelError as error:
            raise load_error(error, alias) from error
        if stored is None:
            raise _not_found("alias")
        if model_id is not None and model_id != stored.name:
            raise _not_found("model_id")
        return stored

    def _row(self, model: LibraryModel) -> wire.Object:
        stored, summary = model
        held = self._models.find(stored.name)
        return {
            "alias": stored.name,
            "id": stored.name,
            "kind": summary.kind,
            "device": summary.provider,
            "provider": summary.provider,
            "size_mb": mib(summary.size_bytes),
            "memory_mb": mib(self._models.loader.needed_bytes(summary)),
            "status": "available" if held is None else held.status,
            "loaded": held is not None and held.loaded is not None,
            "context_length": summary.context_length,
            "architecture": summary.architecture,
            "weights": summary.weights,
            "kv": summary.kv,
            "licence": summary.licence,
        }


def _not_found(param: str) -> NotFound:
    message = "There is no such chat model here; /api/models/available lists those that there are."
    return NotFound(message, param=param, code="model_not_found")


def _wait(text: str) -> bool:
    if text.lower() not in _WAIT:
        raise BadRequest("`wait` must be true or false.", param="wait", code="invalid_value")
    return _WAIT[text.lower()]
