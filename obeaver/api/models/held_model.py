"""One of the models that a server answers with, in memory or not, and who uses it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from obeaver.api.models.backoff import Backoff
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.models.store import StoredModel

ANY_DEVICE = "auto"
"""Whatever the model was made for."""


class HeldModel:
    """A model and its loaded form, if it has one now. Belongs to the event loop.

    A request holds a *lease* from the choice of its model until the engine has its sequences; from then on they count
    as the worker's open streams. The model is in use while there is either.

    Args:
        stored: What to load it from.
        device: What to load it on.

    Attributes:
        backoff: How long it rests after its engine has failed.
        loading: Gives the loaded form to all who wait for it; None while it is not being loaded.
    """

    def __init__(self, stored: StoredModel, device: str = ANY_DEVICE) -> None:
        self.stored = stored
        self.device = device
        self.backoff = Backoff()
        self.loading: asyncio.Task[LoadedModel] | None = None
        self._loaded: LoadedModel | None = None
        self._num_leases = 0
        self._free = asyncio.Event()
        self._free.set()
        self._used = asyncio.Event()
        self._restart_at_s: float | None = None
        self._context_length = 0
        self._loaded_at = 0.0

    @property
    def name(self) -> str:
        """What `/v1/models` calls it."""
        return self.stored.name

    @property
    def loaded(self) -> LoadedModel | None:
        """Its loaded form."""
        return self._loaded

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together; 0 before it was first loaded."""
        return self._context_length

    @property
    def loaded_at(self) -> float:
        """When it was last loaded, in seconds since 1970; 0 before."""
        return self._loaded_at

    @property
    def status(self) -> str:
        """One word: `loaded`, `loading`, `unloaded`, `unhealthy` or `restarting`."""
        if self._restart_at_s is not None:
            return "restarting"
        if self._loaded is not None:
            return "loaded" if self._loaded.worker.snapshot().healthy else "unhealthy"
        return "unloaded" if self.loading is None else "loading"

    @property
    def is_in_use(self) -> bool:
        """Whether a request needs it now."""
        return self._num_leases > 0 or (self._loaded is not None and not self._loaded.worker.is_idle)

    def is_made_of(self, stored: StoredModel, device: str) -> bool:
        """Whether loading `stored` on `device` would give what is held here, and alive."""
        if self.stored != stored or self.status == "unhealthy":
            return False
        if device in (ANY_DEVICE, self.device):
            return True
        return self._loaded is not None and device == self._loaded.worker.snapshot().placement.provider

    def put(self, model: LoadedModel) -> None:
        """Here is its loaded form."""
        self._loaded = model
        self._restart_at_s = None
        self._context_length, self._loaded_at = model.context_length, model.loaded_at

    def rest(self, wait_s: float) -> None:
        """Its engine has failed, and is started anew after so many seconds."""
        self._restart_at_s = asyncio.get_running_loop().time() + wait_s

    @property
    def rest_s(self) -> float:
        """Seconds until its engine is started anew; 0 where nobody has to wait for that."""
        if self._restart_at_s is None:
            return 0.0
        return max(0.0, self._restart_at_s - asyncio.get_running_loop().time())

    def take(self) -> LoadedModel | None:
        """Its loaded form, which from now on belongs to the caller."""
        model, self._loaded = self._loaded, None
        return model

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Keep it in use for the length of the block."""
        self._num_leases += 1
        self._free.clear()
        self._used.set()
        try:
            yield
        finally:
            self._num_leases -= 1
            if not self._num_leases:
                self._free.set()

    async def idle(self) -> None:
        """Return when nobody uses it, and it is not being loaded."""
        while self.is_in_use or self.loading is not None:
            await self._free.wait()
            if self.loading is not None:  # whoever wanted it may have left meanwhile
                await asyncio.wait({self.loading})
            if self._loaded is not None:
                await self._loaded.worker.idle()

    async def unused(self, for_s: float) -> None:
        """Return when nobody has used it for so many seconds."""
        while True:
            await self.idle()
            self._used.clear()
            try:
                async with asyncio.timeout(for_s):
                    await self._used.wait()
            except TimeoutError:
                if not self.is_in_use:  # somebody may have come in the same turn of the loop
                    return
