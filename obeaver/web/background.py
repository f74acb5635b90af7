"""Work that goes on when its request has been answered."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from obeaver.errors import Unavailable
from obeaver.web.in_flight import InFlight

logger = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]


class BackgroundWork:
    """All such work of a server. It owns the tasks: none of them outlives `close`.

    Args:
        in_flight: Counts it among the requests that are being answered: a server that stops waits for it just as long.
            What has not ended then is cancelled.
    """

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Work) -> None:
        """Go on with this beside everything else."""
        task = asyncio.create_task(self._tracked(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel what is still under way, and wait for its end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tracked(self, work: Work) -> None:
        try:
            async with self._in_flight.track():
                await work()
        except Unavailable:
            logger.info("work in the background was ended: the server stops")
        except Exception:
            logger.exception("work in the background failed")
