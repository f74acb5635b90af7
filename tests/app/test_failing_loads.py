"""Loads that fail on a real engine: the status is right, the reason is told without paths, the old model serves on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from support.chat_app import make_model, serving
from support.scripted_model import VOCAB_SIZE, write_model_folder
from support.tiny_decoder import TinyDecoder

from obeaver.models import record
from obeaver.models.record import FileRecord, Record
from obeaver.models.store import Store

TERABYTES = 64 * 10**12


class Case(NamedTuple):
    """A load that fails.

    Attributes:
        make: Makes the model named `bad` in a store.
        body: What is asked for.
        status: Of the answer.
        code: In its error.
        words: In its error's message.
    """

    make: Callable[[Store], None]
    body: dict[str, Any]
    status: int
    code: str
    words: str


def nothing(store: Store) -> None:
    """There is no such model."""


def sound(store: Store) -> None:
    make_model(store, "bad", seed=1)


def missing_graph(store: Store) -> None:
    (make_model(store, "bad").folder / "model.onnx").unlink()


def missing_tokenizer(store: Store) -> None:
    (make_model(store, "bad").folder / "tokenizer.json").unlink()


def without_record(store: Store) -> None:
    (make_model(store, "bad").folder / record.FILE_NAME).unlink()


def shortened(store: Store) -> None:
    graph = make_model(store, "bad").folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])


def made_of(change: Callable[[Path], None]) -> Callable[[Store], None]:
    """A model that is complete, and was wrong from the beginning."""

    def make(store: Store) -> None:
        with store.staging("bad") as folder:
            write_model_folder(folder)
            TinyDecoder(vocab=VOCAB_SIZE).write(folder)
            change(folder)

    return make


def corrupt_graph(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"This is no graph. " * 100)


def half_a_graph(folder: Path) -> None:
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])


def graph_without_its_data(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    (folder / "model.onnx.data").unlink()


def weights_that_are_no_numbers(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "table":
            table = np.full_like(onnx.numpy_helper.to_array(tensor), np.nan)
            tensor.CopyFrom(onnx.numpy_helper.from_array(table, tensor.name))
    onnx.save(model, folder / "model.onnx")


def broken_configuration(folder: Path) -> None:
    (folder / "genai_config.json").write_text("{", encoding="utf-8")


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")


def an_encoder(store: Store) -> None:
    with store.staging("bad") as folder:
        (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")


def too_large(store: Store) -> None:
    """Weights beyond any memory: a file with a hole in it takes no space on the disk."""
    folder = make_model(store, "bad").folder
    weights = folder / "model.onnx.data"
    with weights.open("wb") as file:
        file.truncate(TERABYTES // 8)
    found = record.read(folder)
    stat = weights.stat()
    files = dict(found.files) | {weights.name: FileRecord(stat.st_size, stat.st_mtime_ns, "0" * 64)}
    record.write(folder, Record(found.created, found.recipe, files))


BAD = {"alias": "bad"}
CASES = {
    "an unknown alias": Case(nothing, BAD, 404, "model_not_found", "no such chat model"),
    "traversal": Case(sound, {"alias": "../models/bad"}, 404, "model_not_found", "no such chat model"),
    "an absolute path": Case(sound, {"alias": "HOME/models/bad"}, 404, "model_not_found", "no such chat model"),
    "another model's id": Case(sound, {"alias": "bad", "model_id": "good"}, 404, "model_not_found", "no such chat"),
    "a model that does not chat": Case(an_encoder, BAD, 404, "model_not_found", "no such chat model"),
    "an unknown device": Case(sound, BAD | {"device": "abacus"}, 400, "unknown_value", "that is here: cpu"),
    "a missing graph": Case(missing_graph, BAD, 500, "model_load_failed", "damaged (model.onnx is missing)"),
    "a missing tokenizer": Case(
        missing_tokenizer, BAD, 500, "model_load_failed", "damaged (tokenizer.json is missing)"
    ),
    "a missing record": Case(without_record, BAD, 500, "model_load_failed", "damaged (it has no store.json)"),
    "a shortened graph": Case(shortened, BAD, 500, "model_load_failed", "damaged (model.onnx has "),
    "missing weights": Case(made_of(graph_without_its_data), BAD, 500, "model_load_failed", "cannot be run"),
    "a corrupt graph": Case(made_of(corrupt_graph), BAD, 500, "model_load_failed", "cannot be run"),
    "half a graph": Case(made_of(half_a_graph), BAD, 500, "model_load_failed", "cannot be run"),
    "weights that are no numbers": Case(
        made_of(weights_that_are_no_numbers), BAD, 500, "model_load_failed", "it computes no numbers"
    ),
    "a broken configuration": Case(made_of(broken_configuration), BAD, 500, "model_load_failed", "is not JSON"),
    "a broken tokenizer": Case(made_of(broken_tokenizer), BAD, 500, "model_load_failed", "tokenizer.json"),
    "too little memory for the weights": Case(too_large, BAD, 500, "insufficient_memory", "needs about 11,200,0"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_status_is_right_and_the_old_model_serves_on(tmp_path: Path, case: Case) -> None:
    home = tmp_path / "home"
    make_model(Store(home), "good")
    async with serving(home, "good") as served:
        case.make(served.store)
        before = await served.answer()
        assert before[0] == "good"
        body = json.loads(json.dumps(case.body).replace("HOME", str(home)))
        reply = await served.load(**body)
        assert (reply.status, reply.error["code"]) == (case.status, case.code), reply.body
        assert case.words in reply.error["message"]
        assert str(tmp_path) not in reply.body.decode()
        assert "Traceback" not in reply.body.decode()
        assert await served.answer() == before
        assert (await served.get("/health"))["status"] == "ok"
        assert (await served.get("/api/models/available"))["current"] == "good"
        # What was wrong with that load does not stand in the way of the next.
        make_model(served.store, "better", seed=2)
        reply = await served.load(alias="better")
        assert (reply.status, reply.json()["model"]) == (200, "better")
        assert (await served.answer())[0] == "better"
