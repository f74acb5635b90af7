"""Keeps an encoder: loads it, and loads it again when its engine has failed, where that is wanted."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from obeaver.api.encoders.state import EncoderHost, LoadedEncoder
from obeaver.api.models.backoff import Backoff
from obeaver.errors import ObeaverError

logger = logging.getLogger("obeaver")


class EncoderKeeper:
    """Puts an encoder into its host.

    Args:
        models: The host.
        load: Loads the encoder and starts its engine.
    """

    def __init__(self, models: EncoderHost, load: Callable[[], Awaitable[LoadedEncoder]]) -> None:
        self._models = models
        self._load = load
        self._backoff = Backoff()
        self._watch: asyncio.Task[None] | None = None

    async def load(self, *, restart: bool) -> None:
        """Load it; with `restart`, again whenever its engine has failed.

        Raises:
            ObeaverError: It cannot be loaded.
        """
        self._put(await self._load())
        if restart:
            self._watch = asyncio.create_task(self._restart_when_failed())

    async def close(self) -> None:
        """Give it back."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        if self._models.model is not None:
            await self._models.model.worker.close()

    def _put(self, model: LoadedEncoder) -> None:
        self._models.model, self._models.restarting = model, False
        logger.info("%s runs on %s", model.name, model.worker.snapshot().label)

    async def _restart_when_failed(self) -> None:
        loop = asyncio.get_running_loop()
        while (model := self._models.model) is not None:
            began_s = loop.time()
            if not await model.worker.gone():
                return
            self._models.model, self._models.restarting = None, True
            await self._restart(model.name, loop.time() - began_s)

    async def _restart(self, name: str, lived_s: float) -> None:
        while self._models.restarting:
            wait_s = self._backoff.next_wait_s(lived_s)
            logger.error("%s is started anew in %g s: its engine has failed", name, wait_s)
            await asyncio.sleep(wait_s)
            lived_s = 0.0
            try:
                self._put(await self._load())
            except ObeaverError as error:
                logger.error("%s", error)  # its one line says it all
