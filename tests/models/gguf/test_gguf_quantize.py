import gguf
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from obeaver.models.gguf import quantize
from obeaver.models.gguf.quantize import BlockFormat, Quantised, dequantise, quantise, quantise_rows

FloatArray = npt.NDArray[np.float32]
INT4 = BlockFormat(bits=4, block_size=32)
FORMATS = [
    BlockFormat(bits, size, symmetric) for bits in (4, 8) for size in (16, 32, 64) for symmetric in (False, True)
]


def random_matrix(rows: int, columns: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.1, 1, (rows, columns)).astype(np.float32)


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("columns", [128, 100, 7])
def test_no_weight_is_further_off_than_a_step(form: BlockFormat, columns: int) -> None:
    matrix = random_matrix(9, columns)
    quantised = quantise(matrix, form)
    error = np.abs(dequantise(quantised, form, columns) - matrix)
    steps = np.repeat(np.abs(quantised.scales), form.block_size, axis=1)[:, :columns]
    # Half a step, and for the far end of a range whose zero point was rounded, up to one.
    assert (error <= 1.01 * steps).all()
    assert error.mean() <= 0.3 * steps.mean()


@settings(max_examples=60, deadline=None)
@given(form=st.sampled_from(FORMATS), seed=st.integers(0, 1000), exponent=st.integers(-30, 30))
def test_the_scale_of_a_matrix_does_not_matter(form: BlockFormat, seed: int, exponent: int) -> None:
    matrix = random_matrix(3, 64, seed)
    scaled = dequantise(quantise(np.ldexp(matrix, exponent), form), form, 64)
    assert np.array_equal(scaled, np.ldexp(dequantise(quantise(matrix, form), form, 64), exponent))


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_zero_stays_zero(form: BlockFormat) -> None:
    matrix = random_matrix(4, 128)
    matrix[:, ::3] = 0
    matrix[2] = 0
    assert not dequantise(quantise(matrix, form), form, 128)[matrix == 0].any()


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_that_lie_on_the_steps_of_a_block_are_kept(bits: int) -> None:
    form = BlockFormat(bits, 32)
    stored = np.random.default_rng(3).integers(0, form.top + 1, (8, 4, 32))
    stored[..., 0], stored[..., 1] = 0, form.top
    matrix = ((stored - 5) * 0.25).astype(np.float32).reshape(8, 128)
    assert np.array_equal(dequantise(quantise(matrix, form), form, 128), matrix)


def test_four_bits_keep_what_q4_0_stored() -> None:
    stored = gguf.quants.quantize(random_matrix(16, 256), gguf.GGMLQuantizationType.Q4_0)
    matrix = gguf.quants.dequantize(stored, gguf.GGMLQuantizationType.Q4_0)
    assert np.allclose(dequantise(quantise(matrix, INT4), INT4, 256), matrix, atol=1e-6)


def weighted_error(matrix: FloatArray, importance: FloatArray, *, searched: bool) -> FloatArray:
    """Of each block of 32 of int4."""
    found = dequantise(quantise(matrix, INT4, importance if searched else None), INT4, matrix.shape[1])
    error = np.square(found - matrix) * importance
    padding = -matrix.shape[1] % 32
    errors: FloatArray = np.pad(error, ((0, 0), (0, padding))).reshape(len(matrix), -1, 32).sum(axis=2)
    return errors


@settings(max_examples=40, deadline=None)
@given(columns=st.integers(1, 100), seed=st.integers(0, 1000), spread=st.floats(0, 3))
def test_a_search_makes_no_block_worse(columns: int, seed: int, spread: float) -> None:
    random = np.random.default_rng(seed)
    matrix = random.standard_t(4, (5, columns)).astype(np.float32)
    importance = np.exp(random.normal(0, spread, columns)).astype(np.float32)
    before, after = (weighted_error(matrix, importance, searched=searched) for searched in (False, True))
    assert (after <= before * 1.0001 + 1e-6 * importance.max()).all()


def test_a_search_finds_better_ranges_where_columns_count_unlike() -> None:
    matrix = random_matrix(200, 256)
    importance = np.exp(np.random.default_rng(1).normal(0, 1.5, 256)).astype(np.float32)
    before, after = (weighted_error(matrix, importance, searched=searched).sum() for searched in (False, True))
    assert after < 0.75 * before


@pytest.mark.parametrize("kind", ["Q4_0", "middle"])
def test_a_search_keeps_what_blocks_of_four_bits_hold(kind: str) -> None:
    random = np.random.default_rng(5)
    if kind == "Q4_0":
        stored = gguf.quants.quantize(random_matrix(16, 256), gguf.GGMLQuantizationType.Q4_0)
        matrix = gguf.quants.dequantize(stored, gguf.GGMLQuantizationType.Q4_0)
    else:
        integers = random.integers(0, 16, (16, 8, 32))
        integers[..., 0], integers[..., 1] = 0, 15
        matrix = ((integers - 5) * random.uniform(0.1, 1, (16, 8, 1))).astype(np.float32).reshape(16, 256)
    importance = np.exp(random.normal(0, 2, 256)).astype(np.float32)
    assert np.allclose(dequantise(quantise(matrix, INT4, importance), INT4, 256), matrix, atol=1e-6)


def test_a_search_leaves_blocks_of_zeros() -> None:
    matrix = random_matrix(4, 96)
    matrix[1], matrix[2, 32:64], matrix[:, 70:] = 0, 0, 0
    found = dequantise(quantise(matrix, INT4, np.ones(96, np.float32)), INT4, 96)
    assert np.isfinite(found).all()
    assert not found[matrix == 0].any()


def test_what_is_searched_at_once_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, importance = random_matrix(50, 100), np.linspace(0.1, 5, 100, dtype=np.float32)
    whole = quantise(matrix, INT4, importance)
    monkeypatch.setattr(quantize, "_SEARCHED_AT_ONCE", 256)
    pieces = quantise(matrix, INT4, importance)
    assert np.array_equal(pieces.packed, whole.packed)
    assert np.array_equal(pieces.scales, whole.scales)


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("columns", [128, 100])
def test_onnxruntime_reads_the_layout_as_written(form: BlockFormat, columns: int) -> None:
    quantised = quantise(random_matrix(6, columns), form)
    x = random_matrix(5, columns, seed=1)
    expected = x @ dequantise(quantised, form, columns).T
    assert np.allclose(product(x, quantised, form, columns), expected, atol=1e-4)


def product(
    x: npt.NDArray[np.float32], quantised: Quantised, form: BlockFormat, columns: int
) -> npt.NDArray[np.float32]:
    present: dict[str, npt.NDArray[np.generic]] = {"b": quantised.packed, "scales": quantised.scales}
    if quantised.zero_points is not None:
        present["zero_points"] = quantised.zero_points
    node = helper.make_node(
        "MatMulNBits",
        ["x", *present],
        ["y"],
        domain="com.microsoft",
        K=columns,
        N=len(quantised.packed),
        bits=form.bits,
        block_size=form.block_size,
    )
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, columns])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(tensor, name) for name, tensor in present.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    result: npt.NDArray[np.float32] = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    return result


def test_rows_have_scales_of_their_own() -> None:
    sizes = np.array([[1e-3], [1], [50], [0], [7]], np.float32)
    matrix = np.random.default_rng(3).standard_normal((5, 37)).astype(np.float32) * sizes
    stored, scales = quantise_rows(matrix)
    assert np.abs(stored).max(axis=1).tolist() == [127, 127, 127, 0, 127]
    assert (np.abs(stored * scales[:, None] - matrix) <= scales[:, None] * 0.5001).all()
