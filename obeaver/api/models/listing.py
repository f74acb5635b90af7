"""`/v1/models`: what answers now, whatever kind of model it is."""

from collections.abc import Callable, Sequence
from typing import Protocol

from obeaver.api.contract import wire
from obeaver.errors import NotFound
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse


class ServedModel(Protocol):
    """What `/v1/models` tells of a model."""

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
        served: The models that answer now, the default first.
    """

    def __init__(self, served: Callable[[], Sequence[ServedModel]]) -> None:
        self._served = served

    async def list(self, _request: Request) -> JSONResponse:
        """`GET /v1/models`: the models that answer, or an empty list."""
        return JSONResponse(wire.object_list([_model_object(model) for model in self._served()]))

    async def retrieve(self, request: Request) -> JSONResponse:
        """`GET /v1/models/{id}`.

        Raises:
            NotFound: It is none of the models that answer.
        """
        for model in self._served():
            if model.name == request.path_params["id"]:
                return JSONResponse(_model_object(model))
        raise NotFound("No such model is served here; /v1/models lists what is.", param="model", code="model_not_found")


def _model_object(model: ServedModel) -> wire.Object:
    # Additions, under the two names that clients look for.
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.loaded_at),
        "owned_by": "obeaver",
        "context_length": model.context_length,
        "max_model_len": model.context_length,
    }
