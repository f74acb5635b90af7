"""For how long loading a model stops the event loop: `python tests/soak_loading.py [NAME]`, a part of `make soak`.

A stored model is loaded several times, each time beside a loop that looks at the clock all the time, and given back.
Every stop that is longer than what a loop may stand still is told, with what went on. Libraries hold the interpreter's
lock while they take a vocabulary in, and nothing can be done about that from here: so nothing is judged.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from obeaver.allocator import keep_together
from obeaver.app.chat_loader import load_model
from obeaver.app.memory import give_back
from obeaver.app.short_turns import short_turns
from obeaver.config import Settings
from obeaver.home import remembered_home
from obeaver.models.store import Store, StoredModel

NUM_LOADS: Final = 3
TOLD_S: Final = 0.05
LOOK_EVERY_S: Final = 0.001


async def watch(saw: Callable[[float], None]) -> None:
    """Tell how late the loop is, all the time."""
    last_s = time.perf_counter()
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        now_s = time.perf_counter()
        saw(now_s - last_s - LOOK_EVERY_S)
        last_s = now_s


async def stops_of_a_load(model: StoredModel) -> list[tuple[str, float]]:
    """The stops that are worth telling, by the stage in which they came."""
    stage, stops = "", list[tuple[str, float]]()

    def enter(entered: str) -> None:
        nonlocal stage
        stage = entered

    def saw(late_s: float) -> None:
        if late_s > TOLD_S:
            stops.append((stage, late_s))

    watching = asyncio.create_task(watch(saw))
    try:
        loaded = await load_model(model, Settings(kv_cache_mb=64), on_stage=enter)
        enter("give it back")
        await loaded.worker.close()
        del loaded
        give_back()
        await asyncio.sleep(2 * LOOK_EVERY_S)
    finally:
        watching.cancel()
    return stops


async def main(model: StoredModel) -> None:
    """Load a model again and again, and tell its stops."""
    with short_turns():
        for index in range(NUM_LOADS):
            stops = [f"{1e3 * late_s:.0f} ms ({stage})" for stage, late_s in await stops_of_a_load(model)]
            told = ", ".join(stops) or "none of more than 50 ms"
            print(f"stops of load {index + 1}: {told}", flush=True)  # noqa: T201  # figures are to be read


if __name__ == "__main__":
    keep_together()
    store = Store(Path(os.environ.get("OBEAVER_HOME") or remembered_home()).expanduser())
    asyncio.run(main(store.check(sys.argv[1] if sys.argv[1:] else "smollm2-135m")))
