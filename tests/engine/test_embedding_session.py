"""Graphs of the shapes that are about, on onnxruntime itself."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.tiny_encoder import HIDDEN, decoder_vector, write_decoder_embedder

from obeaver.engine.encoding.batches import TokenisedText
from obeaver.engine.encoding.pooling import VectorRecipe
from obeaver.engine.encoding.session import MAX_ROWS, open_embedding_session, open_scoring_session
from obeaver.engine.sessions.cannot_run import CannotRun

LAST = VectorRecipe(("lasttoken",))
TEXTS = [TokenisedText(list(range(5, 5 + length))) for length in (1, 9, 3, 17)]


def write_graph(path: Path, inputs: list[str], output: str, *, kind: int = TensorProto.INT64, rank: int = 2) -> Path:
    """A graph that hands its first input on as float."""
    shape = ["batch", "sequence", "more"][:rank]
    values = [helper.make_tensor_value_info(name, kind, shape) for name in inputs]
    nodes = [helper.make_node("Cast", [inputs[0]], [output], to=TensorProto.FLOAT)]
    results = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "graph", values, results)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_a_decoder_with_positions_and_an_empty_past_gives_each_texts_last_token(tmp_path: Path) -> None:
    write_decoder_embedder(tmp_path / "model.onnx")
    session = open_embedding_session(tmp_path / "model.onnx", LAST, threads=1)
    vectors = session.compute(TEXTS)
    assert session.size == HIDDEN
    np.testing.assert_allclose(vectors, [decoder_vector(text.ids) for text in TEXTS], atol=1e-5)
    np.testing.assert_allclose(vectors, np.concatenate([session.compute([text]) for text in TEXTS]), atol=1e-6)


def test_a_graph_whose_quantisation_sees_the_whole_batch_gets_each_text_alone(tmp_path: Path) -> None:
    write_decoder_embedder(tmp_path / "exact.onnx")
    write_decoder_embedder(tmp_path / "quantised.onnx", quantised=True)
    assert open_embedding_session(tmp_path / "exact.onnx", LAST).limits.max_rows == MAX_ROWS
    assert open_embedding_session(tmp_path / "quantised.onnx", LAST).limits.max_rows == 1


def test_an_output_named_sentence_embedding_is_used_as_it_is(tmp_path: Path) -> None:
    write_decoder_embedder(tmp_path / "model.onnx", outputs="sentence_embedding")
    session = open_embedding_session(tmp_path / "model.onnx", LAST)
    vectors = session.compute(TEXTS)
    assert vectors.shape == (len(TEXTS), HIDDEN)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_prompt_can_be_left_out_of_the_mean(tmp_path: Path) -> None:
    write_decoder_embedder(tmp_path / "model.onnx")
    session = open_embedding_session(tmp_path / "model.onnx", VectorRecipe(("mean_tokens",)))
    ids = [5, 6, 7, 8]
    whole, without, all_prompt = session.compute([TokenisedText(ids, (), n) for n in (0, 3, 9)])
    last = open_embedding_session(tmp_path / "model.onnx", LAST).compute([TokenisedText(ids)])[0]
    np.testing.assert_allclose(without, last, atol=1e-6)
    np.testing.assert_allclose(all_prompt, last, atol=1e-6)
    assert np.abs(whole - last).max() > 0.01


@pytest.mark.parametrize(
    ("inputs", "output", "kind", "reason"),
    [
        (["pixel_values"], "x", TensorProto.INT64, "an input that is not known here: pixel_values"),
        (["attention_mask"], "x", TensorProto.INT64, "it has no input_ids"),
        (["input_ids"], "x", TensorProto.DOUBLE, "its input input_ids is a tensor"),
    ],
)
def test_graphs_of_other_models_are_refused_with_the_reason(
    tmp_path: Path, inputs: list[str], output: str, kind: int, reason: str
) -> None:
    graph = write_graph(tmp_path / "model.onnx", inputs, output, kind=kind)
    with pytest.raises(CannotRun, match=reason):
        open_embedding_session(graph, LAST)


def test_a_graph_without_vectors_or_scores_is_refused(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx", ["input_ids"], "x", rank=1)
    with pytest.raises(CannotRun, match="no output that could be a text's vector"):
        open_embedding_session(graph, LAST)
    with pytest.raises(CannotRun, match="no output `logits`"):
        open_scoring_session(graph)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(CannotRun, match="onnxruntime does not run"):
        open_embedding_session(tmp_path / "model.onnx", LAST)
