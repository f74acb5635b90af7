"""`--keep-alive`: a model that nobody uses leaves the memory, and comes back with the next request."""

import asyncio
import threading
from pathlib import Path

from support.hosted import hosting, streamed, until
from support.scripted_loader import Script
from support.scripted_model import says

from obeaver.errors import ModelError

SHORT_S = 0.01


async def test_an_idle_model_is_unloaded_and_the_next_request_loads_it_again(tmp_path: Path) -> None:
    script = Script()
    async with hosting(tmp_path, {"model": script}, "model", keep_alive_s=SHORT_S) as served:
        before = await served.get("/v1/models")
        for turn in (1, 2, 3):
            await until(lambda turn=turn: len(served.loader.released) == turn)  # type: ignore[misc]
            health = await served.health()
            assert (health["status"], health["model"], health["engine"]) == ("ok", "model", None)
            assert health["models"] == [{"id": "model", "status": "unloaded"}]
            assert await served.get("/v1/models") == before
            assert await served.answer() == ("model", "Hello")
            assert script.num_loads == turn + 1


async def test_a_model_that_is_in_use_stays_however_long_it_takes(tmp_path: Path) -> None:
    gate = threading.Event()
    busy = Script(reply=says("A long story"), fails=lambda num_runs: num_runs > 5 and not gate.wait(60))
    scripts = {"busy": busy, "idle": Script()}
    async with hosting(tmp_path, scripts, "busy", "idle", keep_alive_s=SHORT_S) as served:
        async with served.streaming(model="busy") as (exchange, task):
            await exchange.chunk(1)
            # Another model comes and goes several times meanwhile.
            for turn in (1, 2, 3):
                await until(lambda turn=turn: served.loader.released.count("idle") == turn)  # type: ignore[misc]
                await served.answer(model="idle")
            held = served.host.find("busy")
            assert held is not None
            assert held.status == "loaded"
            gate.set()
            await task
            assert streamed(exchange.reply) == ({"busy"}, "A long story")
        await until(lambda: held.status == "unloaded")


async def test_requests_that_come_together_share_one_load(tmp_path: Path) -> None:
    script = Script()
    async with hosting(tmp_path, {"model": script}, "model", keep_alive_s=SHORT_S) as served:
        await until(lambda: served.loader.released == ["model"])
        script.gate.clear()
        asking = [asyncio.create_task(served.answer()) for _ in range(5)]
        await until(lambda: script.num_loads == 2)
        assert (await served.health())["models"] == [{"id": "model", "status": "loading"}]
        assert (await served.health())["status"] == "ok"
        # One who leaves does not take the model from the others.
        asking.pop().cancel()
        script.gate.set()
        assert await asyncio.gather(*asking) == [("model", "Hello")] * 4
        assert script.num_loads == 2


async def test_a_reload_that_fails_is_told_to_all_who_wait_and_the_next_request_tries_again(tmp_path: Path) -> None:
    script = Script()
    async with hosting(tmp_path, {"model": script}, "model", keep_alive_s=SHORT_S) as served:
        await until(lambda: served.loader.released == ["model"])
        script.gate.clear()
        script.load_error = ModelError("its graph is broken")
        asking = [asyncio.create_task(served.chat()) for _ in range(3)]
        await until(lambda: script.num_loads == 2)
        script.gate.set()
        for reply in await asyncio.gather(*asking):
            assert (reply.status, reply.error["code"]) == (500, "model_load_failed")
            assert reply.error["message"] == "model cannot be loaded: its graph is broken."
        script.load_error = None
        assert await served.answer() == ("model", "Hello")


async def test_an_unloaded_model_can_be_loaded_by_name(tmp_path: Path) -> None:
    scripts = {"first": Script(), "second": Script(reply=says("Here"))}
    async with hosting(tmp_path, scripts, "first", "second", keep_alive_s=SHORT_S) as served:
        await until(lambda: sorted(served.loader.released) == ["first", "second"])
        assert (await served.load("second")).status == 200
        assert [held.name for held in served.host.held] == ["second", "first"]
        assert await served.answer() == ("second", "Here")


async def test_a_model_that_is_exchanged_while_it_is_unloaded_is_gone(tmp_path: Path) -> None:
    scripts = {"first": Script(), "second": Script(reply=says("Here"))}
    async with hosting(tmp_path, scripts, "first", keep_alive_s=SHORT_S) as served:
        await until(lambda: served.loader.released == ["first"])
        assert (await served.load("second")).status == 200
        assert await served.answer(model="first") == ("second", "Here")
        await until(lambda: not served.host.leaving)
        assert scripts["first"].num_loads == 1


async def test_a_request_that_waits_for_a_model_when_the_server_ends_is_told_so(tmp_path: Path) -> None:
    script = Script()
    async with hosting(tmp_path, {"model": script}, "model", keep_alive_s=SHORT_S) as served:
        await until(lambda: served.loader.released == ["model"])
        script.gate.clear()
        asking = asyncio.create_task(served.chat())
        await until(lambda: script.num_loads == 2)
        await served.host.close()
        reply = await asking
        assert (reply.status, reply.error["code"]) == (503, "shutting_down")


async def test_a_model_stays_for_good_where_nothing_else_is_said(tmp_path: Path) -> None:
    scripts = {"model": Script()}
    async with hosting(tmp_path, scripts, "model") as served:
        for _ in range(3):
            await served.answer()
        assert (scripts["model"].num_loads, served.loader.released) == (1, [])
