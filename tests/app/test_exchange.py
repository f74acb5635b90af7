"""Exchanging small real models: what is kept of a model that left, and what shows that one is in use."""

import asyncio
import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from support.chat_app import make_model, serving
from support.disk import small_disk
from support.scripted_model import VOCAB_SIZE, write_model_folder
from support.tiny_decoder import TinyDecoder

from obeaver.api.models.model_host import ModelHost
from obeaver.app.chat_loader import ChatLoader
from obeaver.app.memory import MB, available_bytes, settle
from obeaver.config import Settings
from obeaver.engine.decoding.prefix_cache import Node
from obeaver.engine.decoding.timeline import UNMEASURED
from obeaver.models.store import Store, StoredModel


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # a thread ends
            await asyncio.sleep(0.001)


async def test_nothing_refers_to_a_model_that_was_released(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    host = ModelHost(ChatLoader(Settings(threads=1, kv_cache_mb=8), store, lambda name: UNMEASURED))
    gc.collect()
    gc.disable()  # what only a search for cycles finds would stay for as long as it likes
    try:
        await host.hold(make_model(store, "old"))
        assert host.model is not None
        parts = (host.model.worker, host.model.tokenizer, host.model.grammars)
        left = [weakref.ref(part) for part in parts if part is not None]
        del parts
        await host.start_load(make_model(store, "new", seed=1)).wait()
        await until(lambda: not host.leaving)
        assert [reference() for reference in left] == [None, None, None]
    finally:
        gc.enable()
        await host.close()


async def test_what_was_kept_of_prompts_goes_with_the_model(tmp_path: Path) -> None:
    """Also where things settled while the model was in use, after which no search finds what refers to itself."""
    home = tmp_path / "home"
    for seed, name in enumerate(("old", "new")):
        make_model(Store(home), name, seed=seed)
    async with serving(home, "old") as served:
        for text in ("one", "one and two", "one or two", "another"):
            await served.answer(messages=[{"role": "user", "content": text}])
        nodes = [weakref.ref(kept) for kept in gc.get_objects() if isinstance(kept, Node)]
        assert len(nodes) > 1
        settle()
        assert (await served.load(alias="new")).status == 200
        await until(lambda: not any(reference() for reference in nodes))


async def test_a_model_is_marked_as_used_for_as_long_as_it_is_in_memory(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    old, new = make_model(store, "old"), make_model(store, "new", seed=1)
    host = ModelHost(ChatLoader(Settings(threads=1, kv_cache_mb=8), store, lambda name: UNMEASURED))
    await host.hold(old)
    assert (store.users("old"), store.users("new")) == ((os.getpid(),), ())
    await host.start_load(new).wait()
    await until(lambda: not host.leaving)
    assert (store.users("old"), store.users("new")) == ((), (os.getpid(),))
    await host.close()
    assert store.users("new") == ()


async def test_a_folder_from_the_command_line_can_be_returned_to_by_its_name(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "elsewhere"
    outside.mkdir()
    write_model_folder(outside)
    TinyDecoder(vocab=VOCAB_SIZE).write(outside)
    make_model(Store(home), "stored", seed=1)
    async with serving(home, outside) as served:
        first = await served.answer()
        assert first[0] == "elsewhere"
        assert (await served.load(alias="stored")).status == 200
        assert (await served.answer())[0] == "stored"
        assert (await served.load(alias=str(outside))).status == 404
        assert (await served.load(alias="elsewhere")).status == 200
        assert await served.answer() == first


async def test_the_device_chooses_the_provider_and_auto_means_what_the_server_was_started_with(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("first", "second"):
        make_model(Store(home), name)
    async with serving(home, "first") as served:
        for device in ("cpu", "auto", None):
            for name in ("second", "first"):
                assert (await served.load(alias=name, device=device)).status == 200
                assert (await served.get("/health"))["provider"] == "cpu"


async def test_of_two_loads_together_the_second_counts_what_the_first_was_promised(tmp_path: Path) -> None:
    """A model that is needed again and one that is asked for load side by side; together they must fit."""
    store = Store(tmp_path / "home")
    two_thirds_mb = int(available_bytes() / MB * 2 / 3)
    loader = ChatLoader(Settings(threads=1, kv_cache_mb=two_thirds_mb), store, lambda name: UNMEASURED)
    models = [make_model(store, name) for name in ("first", "second")]

    async def load(stored: StoredModel) -> str:
        try:
            model = await loader.load(stored, "auto", lambda _: None)
        except Exception as error:  # noqa: BLE001 - its kind is what is asked for
            return type(error).__name__
        await model.worker.close()
        await asyncio.to_thread(model.on_released)
        return "loaded"

    assert sorted(await asyncio.gather(*map(load, models))) == ["NotEnoughMemory", "loaded"]
    assert await load(models[1]) == "loaded", "what was promised is free again"


@pytest.mark.parametrize("fault", ["full", "read-only"])
async def test_models_are_exchanged_on_a_disk_that_takes_nothing(tmp_path: Path, fault: str) -> None:
    with small_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("no file system can be mounted here")
        home = disk.folder / "home"
        for seed, name in enumerate(("first", "second")):
            make_model(Store(home), name, seed=seed)
        disk.fill() if fault == "full" else disk.make_read_only()
        async with serving(home, "first") as served:
            before = await served.answer()
            for name in ("second", "first"):
                assert (await served.load(alias=name)).status == 200
                assert (await served.answer())[0] == name
            assert await served.answer() == before
