"""`GET /api/models/catalog`: the models that can be had by name, and which of them this machine can hold."""

import asyncio
from collections.abc import Mapping

from obeaver.api.contract import wire
from obeaver.api.models.memory_figures import memory_object, mib
from obeaver.api.models.model_host import MemoryRoom, ModelHost
from obeaver.models.catalog import CatalogEntry
from obeaver.models.library import ChatLibrary
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse


class CatalogApi:
    """Shows the catalogue.

    Args:
        catalog: By name.
        library: What is installed.
        models: Whose loader knows the memory.
        can_pull: Whether clients may pull what is not installed.
    """

    def __init__(
        self, catalog: Mapping[str, CatalogEntry], library: ChatLibrary, models: ModelHost, *, can_pull: bool
    ) -> None:
        self._catalog = catalog
        self._library = library
        self._models = models
        self._can_pull = can_pull

    async def show(self, _request: Request) -> JSONResponse:
        """`GET /api/models/catalog`."""
        return JSONResponse(await asyncio.to_thread(self._told))

    def _told(self) -> wire.Object:
        memory, installed = self._models.loader.memory(), self._library.names()
        rows = [_row(entry, memory, installed=entry.name in installed) for entry in self._catalog.values()]
        return {"can_pull": self._can_pull, "memory": memory_object(memory), "models": rows}


def _row(entry: CatalogEntry, memory: MemoryRoom, *, installed: bool) -> wire.Object:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "description": entry.description,
        "architecture": entry.architecture,
        "parameters": entry.parameters,
        "context_length": entry.context,
        "licence": entry.licence,
        "quantisation": entry.quantisation,
        "size_mb": mib(entry.size_bytes),
        "memory_mb": mib(entry.memory_bytes),
        "approximate": entry.approximate,
        "source": entry.addresses[0],
        "fits": entry.memory_bytes <= memory.total_bytes,
        "fits_now": entry.memory_bytes <= memory.free_bytes,
        "installed": installed,
    }
