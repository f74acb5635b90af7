"""Which models answer: one or several, exchanged while they serve, and unloaded while nobody needs them.

    lease(name)    a request ──> the model that it names, else the first; loads it first where it is not in memory
    start_load     the new model loads and is tried beside the old ones; then one assignment makes it the first

Whoever has begun on a model ends on it: a model that has lost its place is released when nobody uses it any more. One
at a time leaves like that, or engines would share the processor with more and more others, and none would come to an
end: the next load waits for it, and after a limit ends the answers that it still makes. All of it belongs to one event
loop; what takes time is done by the loader, elsewhere.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from obeaver.api.models.held_model import ANY_DEVICE, HeldModel
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.model_load import ModelLoad, load_error
from obeaver.errors import ApiError, Conflict, EngineFailed, ModelNotLoaded, NotFound, ObeaverError, Unavailable
from obeaver.models.store import StoredModel
from obeaver.models.summary import ModelSummary

logger = logging.getLogger("obeaver")

T = TypeVar("T")

DEFAULT_LEAVING_S: Final = 30.0

OnStage = Callable[[str], None]
"""Hears what a load does now; may be called from any thread."""


class MemoryRoom(NamedTuple):
    """Memory for models: what nobody has taken, and all that could ever be had."""

    free_bytes: int
    total_bytes: int


class ModelLoader(Protocol):
    """Turns stored models into loaded ones."""

    def check_device(self, device: str) -> None:
        """See that models can be loaded on this device. May take a while: for a thread.

        Raises:
            BadRequest: They cannot; lists the devices that there are.
        """

    def needed_bytes(self, model: ModelSummary) -> int:
        """Memory that loading a model takes."""

    def memory(self) -> MemoryRoom:
        """What there is of it. Reads files: for a thread."""

    async def load(self, stored: StoredModel, device: str, on_stage: OnStage) -> LoadedModel:
        """Load a model, start its engine and try it. The event loop stays free meanwhile.

        Raises:
            ObeaverError: Why it cannot be loaded. Nothing is left of it then, nor when this is cancelled.
        """


class ModelHost:
    """Holds the models that answer.

    Args:
        loader: Loads them.
        keep_alive_s: A model that nobody has used for so long is unloaded; 0: none ever is.
        strict: A request may not name a model that is not held.
        restart: An engine that has failed is started anew.
        leaving_s: How long a load waits for the answers of a model that has lost its place, before it ends them.

    Attributes:
        draining: The server shuts down.
        last_load: The latest load that somebody asked for: under way, done or failed.
    """

    def __init__(
        self,
        loader: ModelLoader,
        *,
        keep_alive_s: float = 0.0,
        strict: bool = False,
        restart: bool = False,
        leaving_s: float = DEFAULT_LEAVING_S,
    ) -> None:
        self.draining = False
        self.last_load: ModelLoad | None = None
        self._loader = loader
        self._keep_alive_s = keep_alive_s
        self._strict = strict
        self._restart = restart
        self._leaving_s = leaving_s
        self._held: tuple[HeldModel, ...] = ()
        self._leaving: dict[HeldModel, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._releases: set[asyncio.Task[Any]] = set()
        self._load_task: asyncio.Task[None] | None = None

    @property
    def held(self) -> Sequence[HeldModel]:
        """The models that answer, in memory or not; the first is the default."""
        return self._held

    @property
    def model(self) -> LoadedModel | None:
        """The default model, where it is in memory."""
        return self._held[0].loaded if self._held else None

    @property
    def in_memory(self) -> Sequence[LoadedModel]:
        """Every model that is in memory, those that are leaving among them."""
        return [held.loaded for held in (*self._held, *self._leaving) if held.loaded is not None]

    @property
    def leaving(self) -> Sequence[HeldModel]:
        """Models that have lost their place and are not released yet."""
        return tuple(self._leaving)

    @property
    def loader(self) -> ModelLoader:
        """Loads the models."""
        return self._loader

    def find(self, name: object) -> HeldModel | None:
        """The held model of this name."""
        return next((held for held in self._held if held.name == name), None)

    async def hold(self, stored: StoredModel, device: str = ANY_DEVICE) -> None:
        """Load a model and hold it beside the others, after them.

        Raises:
            ObeaverError: It cannot be loaded.
        """
        held = HeldModel(stored, device)
        self._held = (*self._held, held)
        await self._loading(held)

    @contextlib.asynccontextmanager
    async def lease(self, name: object) -> AsyncIterator[LoadedModel]:
        """The model for a request: as long as the block, and then as long as the sequences that it began.

        Args:
            name: What the request says; anything but the name of a held model means the default.

        Raises:
            NotFound: No model of this name is held, and this host is strict.
            ModelNotLoaded: No model is held.
            ModelLoadFailed: It is not in memory and cannot be loaded.
            Unavailable: The server shuts down before it is loaded, or its engine has failed and is not back yet.
        """
        held = self._chosen(name)
        with held.lease():
            yield held.loaded or await self._loaded(held)

    def start_load(self, stored: StoredModel, device: str = ANY_DEVICE) -> ModelLoad:
        """Begin to load a model that shall become the default, beside those that serve.

        It takes the place of the held model of the same name, else that of the default. One that is held already in
        just this form only becomes the default. While a model leaves, the load waits for it, at most for a while.

        Raises:
            Conflict: Another load is under way.
        """
        if self.last_load is not None and not self.last_load.is_done:
            raise Conflict("Another model is being loaded; /health tells how far it is.", code="load_in_progress")
        load = self.last_load = ModelLoad(stored.name, asyncio.get_running_loop().time)
        self._load_task = self._spawn(self._exchange(stored, device, load))
        return load

    def drain(self) -> None:
        """The server shuts down: a load that nobody will use ends now."""
        self.draining = True
        if self._load_task is not None:
            self._load_task.cancel()

    async def close(self) -> None:
        """End what is under way and release all models."""
        self.drain()
        all_models = (*self._held, *self._leaving)
        await _cancelled(self._tasks)
        for held in all_models:
            self._begin_release(held)
        await asyncio.gather(*self._releases)

    def _chosen(self, name: object) -> HeldModel:
        held = self.find(name)
        if held is not None:
            return held
        if not self._held:
            raise ModelNotLoaded("No model is loaded: POST /api/models/load loads one.")
        if self._strict and name and isinstance(name, str):
            raise NotFound(
                "No such model is served here; /v1/models lists those that are.", param="model", code="model_not_found"
            )
        return self._held[0]

    async def _loaded(self, held: HeldModel) -> LoadedModel:
        """Wait for a model that is not in memory; whoever comes first begins to load it."""
        if held.loading is None and held.rest_s:
            retry_after_s = math.ceil(held.rest_s)
            raise Unavailable("The engine has failed and is being started anew.", retry_after_s=retry_after_s)
        task = self._loading(held)
        # Not the task itself: one waiter who leaves would cancel it for all.
        await asyncio.wait({task})
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            raise load_error(error, held.name, held.stored.folder)
        return task.result()

    def _loading(self, held: HeldModel) -> asyncio.Task[LoadedModel]:
        """The load that is under way, or a new one."""
        if held.loading is None:
            held.loading = self._spawn(self._load(held))
        return held.loading

    async def _load(self, held: HeldModel, on_stage: OnStage = lambda _: None) -> LoadedModel:
        try:
            model = await self._loader.load(held.stored, held.device, on_stage)
        finally:
            held.loading = None
        held.put(model)
        logger.info("%s runs on %s", model.name, model.worker.snapshot().label)
        if self._keep_alive_s:
            self._spawn(self._unload_when_unused(held))
        if self._restart:
            self._spawn(self._restart_when_failed(held, model))
        return model

    async def _restart_when_failed(self, held: HeldModel, model: LoadedModel) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if not await model.worker.gone() or held.loaded is not model:
            return
        del model  # its memory is wanted
        error: BaseException | None = EngineFailed("its engine has failed")
        wait_s = held.backoff.next_wait_s(loop.time() - began_s)
        held.rest(wait_s)
        await asyncio.shield(self._begin_release(held))
        while error is not None:
            logger.error("%s is started anew in %g s: %s", held.name, wait_s, error)
            await asyncio.sleep(held.rest_s)
            if held not in self._held:
                return
            task = self._loading(held)
            await asyncio.wait({task})
            error = None if task.cancelled() else task.exception()
            if error is not None:
                held.rest(wait_s := held.backoff.next_wait_s())

    async def _exchange(self, stored: StoredModel, device: str, load: ModelLoad) -> None:
        held = self.find(stored.name)
        if held is None or not held.is_made_of(stored, device):
            held = HeldModel(stored, device)
        error: ApiError | None = None
        try:
            with held.lease():
                if held not in self._held:
                    await self._nobody_leaves(load.enter)
                    await self._load(held, load.enter)
                elif held.loaded is None:  # then requests may wait for it, too
                    await self._loaded(held)
                self._make_default(held)
        except ObeaverError as failure:
            error = load_error(failure, stored.name, stored.folder)
        except BaseException as failure:
            error = load_error(failure, stored.name, stored.folder)
            raise
        finally:
            load.end(error)

    def _make_default(self, held: HeldModel) -> None:
        """One assignment: whoever comes from now on finds it first."""
        others = [other for other in self._held if other is not held]
        replaced = None
        if held not in self._held and others:
            replaced = self.find(held.name) or others[0]
        self._held = (held, *(other for other in others if other is not replaced))
        if replaced is not None:
            self._leaving[replaced] = self._spawn(self._leave(replaced))

    async def _leave(self, held: HeldModel) -> None:
        try:
            await held.idle()
            await asyncio.shield(self._begin_release(held))
        finally:
            del self._leaving[held]

    async def _nobody_leaves(self, on_stage: OnStage) -> None:
        """Return when all models that have lost their place are released; what takes too long there is ended."""
        while self._leaving:
            held, task = next(iter(self._leaving.items()))
            on_stage(f"wait for the answers of {held.name}")
            await asyncio.wait({task}, timeout=self._leaving_s)
            if not task.done() and held.loaded is not None:
                logger.warning("%s still answers after %g s: its answers are ended", held.name, self._leaving_s)
                message = "The model that made this answer was exchanged for another, so the answer was ended."
                await held.loaded.worker.close(Unavailable(message, code="model_exchanged"))
                await asyncio.wait({task})

    async def _unload_when_unused(self, held: HeldModel) -> None:
        await held.unused(self._keep_alive_s)
        logger.info("%s is unloaded: nobody has used it for %g s", held.name, self._keep_alive_s)
        self._begin_release(held)

    def _begin_release(self, held: HeldModel) -> asyncio.Task[None]:
        """Take the loaded form away, at once, and give its memory back. Who still has streams there is told."""
        return self._spawn(self._release(held.take()), among=self._releases)

    @staticmethod
    async def _release(model: LoadedModel | None) -> None:
        if model is not None:
            await model.worker.close()
            on_released = model.on_released
            del model
            await asyncio.to_thread(on_released)

    def _spawn(self, work: Coroutine[Any, Any, T], *, among: set[asyncio.Task[Any]] | None = None) -> asyncio.Task[T]:
        tasks = self._tasks if among is None else among
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(_log_surprise)
        return task


def _log_surprise(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ObeaverError):
        logger.error("a model could not be loaded or released", exc_info=error)


async def _cancelled(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
