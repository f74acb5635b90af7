"""Loading a model while others answer: who answers what meanwhile, how it can fail, and what is told of it."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support import asgi
from support.event_stream import read_json_events
from support.hosted import AVAILABLE, LOAD, Hosted, hosting, streamed, until
from support.scripted_loader import Script
from support.scripted_model import CONTEXT_LENGTH, SLOW_STEP_S, says

from obeaver.errors import ModelError, NotEnoughMemory, Unavailable

ANSWERS = {name: f"I am {name}" for name in ("first", "second", "third")}


def scripts(**changed: Script) -> dict[str, Script]:
    return {name: Script(reply=says(text)) for name, text in ANSWERS.items()} | changed


def closed() -> asyncio.Event:
    return asyncio.Event()


def pausing(gate: threading.Event) -> Callable[[int], bool]:
    """For a script's `fails`: it never does, and waits for the gate after a few tokens."""
    return lambda num_runs: num_runs > 5 and not gate.wait(60)


def stage(served: Hosted) -> str:
    """What the latest load does now."""
    assert served.host.last_load is not None
    return served.host.last_load.stage


def error_code(reply: asgi.Reply) -> str:
    """Of an answer that an error ended, streamed or not."""
    error = reply.error if reply.status != 200 else read_json_events(reply.body)[-1]["error"]
    code: str = error["code"]
    return code


async def loaded(served: Hosted, alias: str, **parameters: Any) -> None:
    reply = await served.load(alias, **parameters)
    assert (reply.status, reply.json()) == (200, {"status": "ok", "model": alias}), reply.body


@asynccontextmanager
async def leaving_first(tmp_path: Path, *held: str) -> AsyncIterator[tuple[Hosted, Callable[[], Awaitable[None]]]]:
    """A server whose `first` loses its place to `second` in the midst of a stream, and what lets that end."""
    gate, story = threading.Event(), "Once upon a time"
    first = Script(reply=says(story), fails=pausing(gate))
    async with hosting(tmp_path, scripts(first=first), *held) as served, served.streaming() as (exchange, task):
        await exchange.chunk(1)
        await loaded(served, "second")

        async def end_stream() -> None:
            gate.set()
            await task
            assert streamed(exchange.reply) == ({"first"}, story)

        yield served, end_stream


async def test_a_loaded_model_is_the_default_and_the_old_one_is_released(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first") as served:
        assert await served.answer() == ("first", ANSWERS["first"])
        await loaded(served, "second")
        assert await served.answer(model="first") == ("second", ANSWERS["second"])
        assert [model["id"] for model in (await served.get("/v1/models"))["data"]] == ["second"]
        assert (await served.health())["model"] == "second"
        await until(lambda: served.loader.released == ["first"])


async def test_a_stream_ends_on_the_model_that_it_began_with(tmp_path: Path) -> None:
    async with leaving_first(tmp_path, "first") as (served, end_stream):
        assert await served.answer() == ("second", ANSWERS["second"])
        assert (await served.health())["leaving"] == ["first"]
        assert served.loader.released == []
        await end_stream()
        await until(lambda: not served.host.leaving)
        assert served.loader.released == ["first"]


async def test_a_request_that_has_chosen_its_model_and_not_begun_keeps_it(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first") as served:
        async with served.host.lease("first") as model:
            await loaded(served, "second")
            assert (await served.health())["leaving"] == ["first"]
            assert model.worker.room_for(1) == CONTEXT_LENGTH - 1
        await until(lambda: served.loader.released == ["first"])


async def test_the_old_model_answers_until_the_new_one_is_there(tmp_path: Path) -> None:
    gate = closed()
    async with hosting(tmp_path, scripts(second=Script(gate=gate)), "first") as served:
        loading = asyncio.create_task(served.load("second"))
        await until(lambda: served.script("second").num_loads == 1)
        assert await served.answer() == ("first", ANSWERS["first"])
        gate.set()
        assert (await loading).status == 200
        assert (await served.answer())[0] == "second"


async def test_a_load_waits_until_the_model_before_has_ended_its_answers(tmp_path: Path) -> None:
    async with leaving_first(tmp_path, "first") as (served, end_stream):
        assert (await served.load("third", "?wait=false")).status == 202
        await until(lambda: stage(served) == "wait for the answers of first")
        assert served.script("third").num_loads == 0
        assert await served.answer() == ("second", ANSWERS["second"])
        assert (await served.load("first")).status == 409
        await end_stream()
        await until(lambda: served.host.model is not None and served.host.model.name == "third")
        assert served.loader.released[0] == "first"


async def test_a_model_that_only_changes_places_waits_for_nobody(tmp_path: Path) -> None:
    async with leaving_first(tmp_path, "first", "third") as (served, end_stream):
        await loaded(served, "third")
        assert (await served.health())["leaving"] == ["first"]
        await end_stream()


@pytest.mark.parametrize("stream", [True, False])
async def test_answers_that_hold_up_a_load_for_too_long_are_ended_with_an_error(tmp_path: Path, stream: bool) -> None:
    gate = threading.Event()
    first = Script(reply=says("Once upon a time"), fails=pausing(gate))
    async with hosting(tmp_path, scripts(first=first), "first", leaving_s=0) as served:
        async with served.streaming(stream=stream) as (exchange, task):
            await until(lambda: first.runners[0].num_runs > 5)
            await loaded(served, "second")
            loading = asyncio.create_task(served.load("third"))
            await task  # though the engine has not come to its step's end
            gate.set()
            assert (await loading).status == 200
            assert await served.answer() == ("third", ANSWERS["third"])
        reply = exchange.reply
        assert (reply.status, error_code(reply)) == (200 if stream else 503, "model_exchanged")
        assert stream or reply.headers["retry-after"] == "1"


async def test_a_request_that_has_chosen_a_model_and_not_begun_is_told_when_that_is_ended(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first", leaving_s=0) as served:
        async with served.host.lease("first") as model:
            await loaded(served, "second")
            loading = asyncio.create_task(served.load("third"))
            await until(lambda: not model.worker.snapshot().healthy)
            with pytest.raises(Unavailable):
                model.worker.refuse_when_full()
        assert (await loading).status == 200
        assert served.loader.released[0] == "first"  # the second may have left by now, too


async def test_however_often_models_are_exchanged_under_load_all_requests_end_and_one_model_leaves(
    tmp_path: Path,
) -> None:
    endless = {name: Script(reply=lambda _prompt: None, step_s=SLOW_STEP_S) for name in ("first", "second")}
    async with hosting(tmp_path, endless, "first", leaving_s=0) as served:
        asked = []
        for turn in range(8):
            asked += [asyncio.create_task(served.chat(stream=number % 2 == 0)) for number in range(4)]
            await until(lambda: served.host.model is not None and served.host.model.worker.snapshot().num_running == 4)
            await loaded(served, ("second", "first")[turn % 2])
            assert len(served.host.leaving) == 1
        await served.host.close()
        codes = Counter(error_code(reply) for reply in await asyncio.gather(*asked))
    assert codes == {"model_exchanged": 28, "unavailable": 4}
    assert served.loader.most_in_memory == 2


async def test_an_engine_that_is_started_anew_and_is_exchanged_meanwhile_is_released(tmp_path: Path) -> None:
    def dies(_num_runs: int) -> bool:
        raise SystemExit

    first = Script(fails=dies)
    async with hosting(tmp_path, scripts(first=first), "first", restart=True) as served:
        first.gate.clear()
        assert (await served.chat()).status == 500
        await until(lambda: first.num_loads == 2)
        await loaded(served, "second")
        first.gate.set()
        await until(lambda: served.loader.released == ["first", "first"])


async def test_a_second_load_during_a_load_is_a_409_and_changes_nothing(tmp_path: Path) -> None:
    gate = closed()
    async with hosting(tmp_path, scripts(second=Script(gate=gate)), "first") as served:
        loading = asyncio.create_task(served.load("second"))
        await until(lambda: served.script("second").num_loads == 1)
        for alias in ("second", "third", "first"):
            reply = await served.load(alias)
            assert (reply.status, reply.error["code"], reply.error["type"]) == (
                409,
                "load_in_progress",
                "conflict_error",
            )
        gate.set()
        assert (await loading).status == 200
        assert served.script("third").num_loads == 0
        await loaded(served, "third")


async def test_without_waiting_the_answer_is_202_and_health_tells_the_rest(tmp_path: Path) -> None:
    gate = closed()
    async with hosting(tmp_path, scripts(second=Script(gate=gate)), "first") as served:
        assert (await served.health())["load"] is None
        reply = await served.load("second", "?wait=false")
        assert (reply.status, reply.json()) == (202, {"status": "loading", "model": "second"})
        await until(lambda: served.script("second").num_loads == 1)
        health = await served.health()
        assert (health["status"], health["model"]) == ("ok", "first")
        told = health["load"]
        assert (told["model"], told["status"], told["stage"]) == ("second", "loading", "wait for the gate")
        gate.set()
        await until(lambda: served.host.last_load is not None and served.host.last_load.is_done)
        health = await served.health()
        assert (health["model"], health["load"]["status"]) == ("second", "ok")
        assert health["load"]["seconds"] >= told["seconds"] >= 0


async def test_a_load_that_was_not_waited_for_tells_of_its_failure_in_health(tmp_path: Path) -> None:
    broken = Script(load_error=ModelError("its graph is broken"))
    async with hosting(tmp_path, scripts(second=broken), "first") as served:
        assert (await served.load("second", "?wait=0")).status == 202
        await until(lambda: served.host.last_load is not None and served.host.last_load.is_done)
        health = await served.health()
        assert (health["status"], health["model"], health["load"]["status"]) == ("ok", "first", "failed")
        assert health["load"]["error"]["code"] == "model_load_failed"


FAILURES = [
    (ModelError("its graph is broken"), "model_load_failed", "second cannot be loaded: its graph is broken."),
    (
        NotEnoughMemory("it needs about 9,000 MB of memory and 800 MB are free"),
        "insufficient_memory",
        "second cannot be loaded: it needs about 9,000 MB of memory and 800 MB are free.",
    ),
    (
        ModelError("cannot read '/srv/secret place/models/x.onnx' nor C:\\models\\y.onnx."),
        "model_load_failed",
        "second cannot be loaded: cannot read x.onnx nor y.onnx.",
    ),
    (
        ZeroDivisionError("in /usr/lib/python"),
        "model_load_failed",
        "second cannot be loaded; the server's log says why.",
    ),
]


@pytest.mark.parametrize(("error", "code", "message"), FAILURES)
async def test_a_load_that_fails_is_a_500_that_says_why_and_the_old_model_serves_on(
    tmp_path: Path, error: Exception, code: str, message: str
) -> None:
    async with hosting(tmp_path, scripts(second=Script(load_error=error)), "first") as served:
        for _ in range(2):
            reply = await served.load("second")
            assert (reply.status, reply.error["code"], reply.error["type"]) == (500, code, "server_error")
            assert reply.error["message"] == message
            assert await served.answer() == ("first", ANSWERS["first"])
        served.script("second").load_error = None
        await loaded(served, "second")


async def test_the_folder_of_a_model_is_told_by_its_name_alone(tmp_path: Path) -> None:
    home = tmp_path / "a folder with blanks"
    folder = home / "models" / "second"
    broken = Script(load_error=ModelError(f"{folder} is no complete model folder: {folder}/model.onnx is missing"))
    async with hosting(home, scripts(second=broken), "first") as served:
        message = (await served.load("second")).error["message"]
    assert message == ("second cannot be loaded: second is no complete model folder: second/model.onnx is missing.")


async def test_a_client_that_leaves_does_not_end_the_load_that_it_began(tmp_path: Path) -> None:
    gate = closed()
    async with hosting(tmp_path, scripts(second=Script(reply=says(ANSWERS["second"]), gate=gate)), "first") as served:
        scope = asgi.http_scope("POST", LOAD, headers={"content-type": "application/json"})
        async with asgi.exchange(served.app, scope, [json.dumps({"alias": "second"}).encode()]) as (exchange, task):
            await until(lambda: served.script("second").num_loads == 1)
            await exchange.leave()
            await task
        gate.set()
        await until(lambda: served.host.model is not None and served.host.model.name == "second")
        assert await served.answer() == ("second", ANSWERS["second"])


async def test_a_model_takes_the_place_of_the_default_and_the_others_stay(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first", "second") as served:
        await loaded(served, "third")
        assert [held.name for held in served.host.held] == ["third", "second"]
        assert await served.answer(model="second") == ("second", ANSWERS["second"])
        assert await served.answer(model="first") == ("third", ANSWERS["third"])
        await until(lambda: served.loader.released == ["first"])


async def test_a_model_that_is_held_already_becomes_the_default_without_a_load(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first", "second") as served:
        await loaded(served, "second", device="cpu")
        assert [held.name for held in served.host.held] == ["second", "first"]
        assert await served.answer() == ("second", ANSWERS["second"])
        assert (served.script("second").num_loads, served.loader.released) == (1, [])


async def test_a_model_that_has_failed_is_replaced_by_loading_it_again(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first", "second") as served:
        broken = served.host.find("second")
        assert broken is not None
        assert broken.loaded is not None
        await broken.loaded.worker.close()
        await loaded(served, "second")
        assert (await served.health())["status"] == "ok"
        assert await served.answer() == ("second", ANSWERS["second"])
        assert [held.name for held in served.host.held] == ["second", "first"]


async def test_a_model_that_was_made_anew_is_loaded_anew(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first") as served:
        with served.store.staging("first") as folder:
            for file in (tmp_path / "models" / "second").iterdir():
                (folder / file.name).write_bytes(file.read_bytes())
            (folder / "notes.txt").write_text("new", encoding="utf-8")
        await loaded(served, "first")
        assert served.script("first").num_loads == 2
        await until(lambda: served.loader.released == ["first"])


async def test_a_server_without_a_model_gets_its_first_one_by_a_load(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts()) as served:
        assert (await served.get(AVAILABLE))["current"] is None
        await loaded(served, "first")
        assert await served.answer() == ("first", ANSWERS["first"])


async def test_a_load_that_the_end_of_the_server_meets_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    gate = closed()
    async with hosting(tmp_path, scripts(second=Script(gate=gate)), "first") as served:
        loading = asyncio.create_task(served.load("second"))
        await until(lambda: served.script("second").num_loads == 1)
        served.host.drain()
        reply = await loading
        assert (reply.status, reply.error["code"]) == (503, "shutting_down")
        assert await served.answer() == ("first", ANSWERS["first"])
    assert served.loader.released == ["first"]


async def test_every_model_that_could_be_loaded_is_listed_with_what_is_known_of_it(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "second", "first") as served:
        with served.store.staging("an-encoder") as folder:
            (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
        with served.store.staging("broken") as folder:
            (folder / "genai_config.json").write_text("{", encoding="utf-8")
        answer = await served.get(AVAILABLE)
        assert (answer["current"], answer["engine"]) == ("second", "scripted")
        assert [(row["alias"], row["id"], row["device"], row["status"]) for row in answer["models"]] == [
            ("first", "first", "cpu", "loaded"),
            ("second", "second", "cpu", "loaded"),
            ("third", "third", "cpu", "available"),
        ]
        size_bytes = sum(path.stat().st_size for path in (tmp_path / "models" / "third").iterdir())
        assert answer["models"][2]["size_mb"] == round(size_bytes / 1024**2, 1)
        assert answer["models"][2]["context_length"] == CONTEXT_LENGTH


async def test_a_row_of_the_list_can_be_sent_back_as_it_is(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first") as served:
        row = (await served.get(AVAILABLE))["models"][2]
        await loaded(served, row["alias"], model_id=row["id"], device=row["device"])


def bad_loads() -> list[Any]:
    text = Path(__file__).with_name("bad_model_loads.json").read_text(encoding="utf-8")
    cases = json.loads(text.replace("LONG", "a" * 100_000))
    return [pytest.param(case["body"], case["status"], case["param"], id=case["why"]) for case in cases]


@pytest.mark.parametrize(("body", "status", "param"), bad_loads())
async def test_a_request_that_names_no_model_changes_nothing(
    tmp_path: Path, body: object, status: int, param: str | None
) -> None:
    async with hosting(tmp_path / "home", scripts(), "first") as served:
        # What a path could lead to, were one ever opened.
        outside = tmp_path / "outside"
        outside.mkdir()
        for file in (tmp_path / "home" / "models" / "second").iterdir():
            (outside / file.name).write_bytes(file.read_bytes())
        text = json.dumps(body).replace("OUTSIDE", str(outside))
        reply = await asgi.request(
            served.app, "POST", LOAD, headers={"content-type": "application/json"}, body=text.encode()
        )
        assert (reply.status, reply.error["param"]) == (status, param)
        if status == 404:
            assert reply.error["code"] == "model_not_found"
        assert str(outside) not in reply.body.decode()
        assert [script.num_loads for script in served.loader.scripts.values()] == [1, 0, 0]
        assert await served.answer() == ("first", ANSWERS["first"])


@pytest.mark.parametrize(("query", "status"), [("?wait=maybe", 400), ("?wait=true", 200), ("?wait=", 200)])
async def test_the_query_says_whether_to_wait(tmp_path: Path, query: str, status: int) -> None:
    async with hosting(tmp_path, scripts(), "first") as served:
        assert (await served.load("second", query)).status == status


async def test_a_stored_model_with_a_missing_file_is_a_500_that_names_the_file(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first") as served:
        (tmp_path / "models" / "second" / "model.onnx").unlink()
        reply = await served.load("second")
        assert (reply.status, reply.error["code"]) == (500, "model_load_failed")
        assert "model.onnx is missing" in reply.error["message"]
        assert await served.answer() == ("first", ANSWERS["first"])
