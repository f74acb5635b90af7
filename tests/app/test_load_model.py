"""From a model's folder to a model that answers: what is checked at once, and which runner is chosen."""

import json
from pathlib import Path
from typing import Literal

import onnx
import onnx.helper
import pytest
from support.scripted_model import VOCAB_SIZE, write_model_folder
from support.tiny_decoder import TinyDecoder

from obeaver.app.chat_loader import load_model
from obeaver.config import Settings
from obeaver.errors import ModelError, NoChatTemplate
from obeaver.models.store import StoredModel


def settings(runner: Literal["auto", "ort", "genai"] = "auto") -> Settings:
    return Settings(runner=runner, threads=1, kv_cache_mb=8)


def stored(folder: Path) -> StoredModel:
    write_model_folder(folder)
    TinyDecoder(vocab=VOCAB_SIZE).write(folder)
    return StoredModel("tiny", folder, recipe=None, size_bytes=0, created=0)


def quantise_all_rows_together(graph: Path) -> None:
    """Add a node for whose sake the fast runner passes a graph over."""
    model = onnx.load(graph)
    weights = next(tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT)
    model.graph.node.append(onnx.helper.make_node("DynamicQuantizeLinear", [weights], ["x", "x_scale", "x_zero"]))
    onnx.save(model, graph)


@pytest.mark.parametrize(
    ("runner", "label", "reason"),
    [
        ("auto", "onnxruntime ", "run straight on onnxruntime: sequences of any lengths"),
        ("ort", "onnxruntime ", "run straight on onnxruntime: sequences of any lengths"),
        ("genai", "onnxruntime-genai ", "because --runner says so"),
    ],
)
async def test_the_engine_says_what_it_is_and_why(
    tmp_path: Path, runner: Literal["auto", "ort", "genai"], label: str, reason: str
) -> None:
    model = await load_model(stored(tmp_path), settings(runner))
    await model.worker.close()
    assert model.worker.snapshot().label.startswith(label)
    assert reason in model.engine_reason


async def test_a_graph_that_the_fast_runner_passes_over_goes_to_the_other_one_which_says_why(tmp_path: Path) -> None:
    entry = stored(tmp_path)
    quantise_all_rows_together(tmp_path / "model.onnx")
    model = await load_model(entry, settings())
    await model.worker.close()
    assert model.worker.snapshot().label.startswith("onnxruntime-genai ")
    assert model.engine_reason.startswith("not run straight on onnxruntime: it quantises activations of all rows")


async def test_where_no_other_runner_is_wanted_such_a_graph_is_an_error(tmp_path: Path) -> None:
    entry = stored(tmp_path)
    quantise_all_rows_together(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="would change each other; use --runner auto"):
        await load_model(entry, settings("ort"))


async def test_a_tokenizer_whose_decoder_is_not_known_fails_the_load(tmp_path: Path) -> None:
    model = stored(tmp_path)
    path = tmp_path / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(ModelError, match="a decoder of type 'WordPiece' is not supported"):
        await load_model(model, settings())


async def test_a_model_without_a_chat_template_is_loaded_and_knows_no_conversations(tmp_path: Path) -> None:
    entry = stored(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    model = await load_model(entry, settings())
    await model.worker.close()
    with pytest.raises(NoChatTemplate, match="tiny has no chat template"):
        _ = model.template


async def test_a_template_that_is_given_is_the_models_with_what_follows_from_it(tmp_path: Path) -> None:
    given = "{% for m in messages %}[{{ m.content }}]{% endfor %}{{ '<tool_call>' if tools }}"
    model = await load_model(stored(tmp_path), settings(), template=given)
    await model.worker.close()
    assert model.facts.chat_template == given
    assert model.template.render([{"role": "user", "content": "Hi"}]).text == "[Hi]"
