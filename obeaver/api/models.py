"""`/v1/models`: what answers now, whatever kind of model it is."""

from collections.abc import Callable
from typing import Protocol

from obeaver.api import wire
from obeaver.errors import NotFound
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse


class ServedModel(Protocol):
    """What `/v1/models` tells of a loaded model."""

    @property
    def name(self) -> str:
        """Its id."""

    @property
    def loaded_at(self) -> float:
        """Seconds since 1970."""

    @property
    def context_length(self) -> int:
        """Most tokens that it takes."""


class ModelsApi:
    """Handlers that tell of models.

    Args:
        current: The model that answers now, if there is one.
    """

    def __init__(self, current: Callable[[], ServedModel | None]) -> None:
        self._current = current

    async def list(self, _request: Request) -> JSONResponse:
        """`GET /v1/models`: the loaded model, or an empty list."""
        model = self._current()
        return JSONResponse(wire.object_list([] if model is None else [_model_object(model)]))

    async def retrieve(self, request: Request) -> JSONResponse:
        """`GET /v1/models/{id}`.

        Raises:
            NotFound: It is not the loaded model.
        """
        model = self._current()
        if model is None or request.path_params["id"] != model.name:
            raise NotFound("No such model is loaded; /v1/models lists what is.", param="model", code="model_not_found")
        return JSONResponse(_model_object(model))


def _model_object(model: ServedModel) -> wire.Object:
    return wire.model_object(model.name, int(model.loaded_at), model.context_length)
