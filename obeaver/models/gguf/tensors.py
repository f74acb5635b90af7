"""The tensors that a model of a GGUF file needs, where each matrix of the computation lies in them, and their check."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from obeaver.errors import ModelError
from obeaver.models.gguf.architecture import Architecture, Experts, Matrix
from obeaver.models.gguf.families import Family
from obeaver.models.gguf.reader import SUPPORTED_TYPES, TensorFile, TensorInfo

_FIRST: Final = "blk.0."
ROUTER: Final = "ffn_gate_inp"
EXPERT_GATE: Final = "ffn_gate_exps"
EXPERT_UP: Final = "ffn_up_exps"
EXPERT_DOWN: Final = "ffn_down_exps"
POSITIONS: Final = "position_embd"
SEGMENTS: Final = "token_types"
EMBEDDING_NORM: Final = "token_embd_norm"
POOLED: Final = ("dense_2", "dense_3", "cls", "cls.output")
"""Layers behind pooling, in this order."""


def matrices_of(
    tensors: Mapping[str, TensorInfo],
    family: Family,
    experts: Experts | None,
    hidden_size: int,
    q_size: int,
    kv_size: int,
    ffn_size: int,
) -> Mapping[str, Matrix]:
    """Where each matrix of a layer lies, by its name in the computation.

    Files hold queries, keys and values, or gate and up, as matrices of their own or stacked in one tensor.

    Args:
        tensors: Of the file.
        family: Of the model.
        experts: Of the model, if it has any.
        hidden_size: Width of the model.
        q_size: Width of all query heads together, in the file.
        kv_size: Width of all key heads together, in the file.
        ffn_size: Width of the feed-forward network.
    """
    found = dict(zip(("attn_q", "attn_k", "attn_v"), _qkv(tensors, hidden_size, q_size, kv_size), strict=True))
    found["attn_output"] = Matrix("attn_output", 0, hidden_size, q_size)
    if experts is not None:
        found[ROUTER] = Matrix(ROUTER, 0, experts.count, hidden_size)
    else:
        found |= _feed_forward(tensors, family, hidden_size, ffn_size)
    return MappingProxyType(found)


def _qkv(tensors: Mapping[str, TensorInfo], hidden_size: int, q_size: int, kv_size: int) -> list[Matrix]:
    rows = (q_size, kv_size, kv_size)
    if f"{_FIRST}attn_qkv.weight" in tensors:
        return [Matrix("attn_qkv", sum(rows[:i]), rows[i], hidden_size) for i in range(3)]
    return [Matrix(f"attn_{which}", 0, size, hidden_size) for which, size in zip("qkv", rows, strict=True)]


def _feed_forward(
    tensors: Mapping[str, TensorInfo], family: Family, hidden_size: int, ffn_size: int
) -> dict[str, Matrix]:
    down = {"ffn_down": Matrix("ffn_down", 0, hidden_size, ffn_size)}
    if not family.gated:
        return {"ffn_up": Matrix("ffn_up", 0, ffn_size, hidden_size)} | down
    up = tensors.get(f"{_FIRST}ffn_up.weight")
    stacked = f"{_FIRST}ffn_gate.weight" not in tensors and up is not None and up.shape[0] == 2 * ffn_size
    gate, start = ("ffn_up", ffn_size) if stacked else ("ffn_gate", 0)
    return {
        "ffn_gate": Matrix(gate, 0, ffn_size, hidden_size),
        "ffn_up": Matrix("ffn_up", start, ffn_size, hidden_size),
    } | down


def vectors_of(
    tensors: Mapping[str, TensorInfo],
    family: Family,
    hidden_size: int,
    head_dim: int,
    num_heads: int,
    num_kv_heads: int,
    matrices: Mapping[str, Matrix],
) -> Mapping[str, tuple[int, ...]]:
    """Shapes of a layer's norms and biases. Which biases there are, the first layer says."""
    shapes: dict[str, tuple[int, ...]] = {}
    norms = (family.before_attention, family.before_ffn, family.after_attention, family.after_ffn, family.after_layer)
    for norm in norms:
        if norm is not None:
            shapes[f"{norm}.weight"] = shapes[f"{norm}.bias"] = (hidden_size,)
    for which, heads in (("q", num_heads), ("k", num_kv_heads)):
        name = f"attn_{which}_norm.weight"
        if family.qk_norm == "all heads":
            shapes[name] = (heads * head_dim,)
        elif family.qk_norm == "head if any":
            if f"{_FIRST}{name}" in tensors:
                shapes[name] = (heads, head_dim)
        elif family.qk_norm is not None:
            shapes[name] = (head_dim,)
    if family.sinks:
        shapes["attn_sinks.weight"] = (num_heads,)
    for matrix in matrices.values():
        shapes[f"{matrix.tensor}.bias"] = (_rows(matrices, matrix.tensor),)
    return MappingProxyType(
        {name: shape for name, shape in shapes.items() if name.endswith(".weight") or f"{_FIRST}{name}" in tensors}
    )


def expected_shapes(model: Architecture, tensors: Mapping[str, TensorInfo]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor that the file must have, with its shape."""
    yield "token_embd.weight", (model.vocab_size, model.hidden_size)
    if model.family.after_layer is None:
        yield "output_norm.weight", (model.hidden_size,)
    if "output_norm.bias" in tensors:
        yield "output_norm.bias", (model.hidden_size,)
    yield from _embedder_shapes(model.hidden_size, tensors)
    if not model.tied_head:
        yield "output.weight", (model.vocab_size, model.hidden_size)
    if "output.bias" in tensors:
        yield "output.bias", (model.vocab_size,)
    for rope in model.ropes:
        if rope.factors is not None:
            yield rope.factors, (rope.width // 2,)
    for layer in range(model.num_layers):
        for name, shape in _layer_shapes(model, tensors):
            if layer or model.family.first_norm or name != f"{model.family.before_attention}.weight":
                yield f"blk.{layer}.{name}", shape


def _embedder_shapes(hidden_size: int, tensors: Mapping[str, TensorInfo]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What stands before the layers of some models that make vectors, and behind pooling."""
    for name in (POSITIONS, SEGMENTS):
        if (info := tensors.get(f"{name}.weight")) is not None:
            yield info.name, (info.shape[0], hidden_size)
    for name in (f"{EMBEDDING_NORM}.weight", f"{EMBEDDING_NORM}.bias"):
        if name in tensors:
            yield name, (hidden_size,)
    width = hidden_size
    for name in POOLED:
        if (info := tensors.get(f"{name}.weight")) is not None:
            yield info.name, (info.shape[0], width)
            width = info.shape[0]
            if f"{name}.bias" in tensors:
                yield f"{name}.bias", (width,)


def _layer_shapes(model: Architecture, tensors: Mapping[str, TensorInfo]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from model.vectors.items()
    for matrix in model.matrices.values():
        yield f"{matrix.tensor}.weight", (_rows(model.matrices, matrix.tensor), matrix.columns)
    if model.experts is not None:
        yield from _expert_shapes(model.experts, model.hidden_size, tensors)


def _expert_shapes(
    experts: Experts, hidden_size: int, tensors: Mapping[str, TensorInfo]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    inner, outer = (experts.count, experts.ffn_size), (experts.count, hidden_size)
    shapes = (*inner, hidden_size), (*inner, hidden_size), (*outer, experts.ffn_size)
    for name, shape in zip((EXPERT_GATE, EXPERT_UP, EXPERT_DOWN), shapes, strict=True):
        yield f"{name}.weight", shape
        if f"{_FIRST}{name}.bias" in tensors:
            yield f"{name}.bias", shape[:-1]


def _rows(matrices: Mapping[str, Matrix], tensor: str) -> int:
    """Rows of a tensor, which holds one matrix or several."""
    return sum(matrix.rows for matrix in matrices.values() if matrix.tensor == tensor)


def check_tensors(file: TensorFile, model: Architecture) -> None:
    """Check that the file holds exactly the tensors that the model needs.

    Raises:
        ModelError: One is missing, has another shape, a type that is not supported, or nothing would use it.
    """
    unused = set(file.tensors) - _other_factors(model)
    for name, shape in expected_shapes(model, file.tensors):
        _check_tensor(file, name, shape)
        unused.discard(name)
    if unused:
        raise ModelError(f"{file.path}: {model.name} models with a tensor {min(unused)} are not supported")


def _other_factors(model: Architecture) -> set[str]:
    """Longrope's factors for the context that was not chosen: they are read or left by design."""
    pair = {"rope_factors_short.weight", "rope_factors_long.weight"}
    return pair if any(rope.factors in pair for rope in model.ropes) else set()


def _check_tensor(file: TensorFile, name: str, shape: tuple[int, ...]) -> None:
    info = file.tensors.get(name)
    if info is None:
        raise ModelError(f"{file.path}: the tensor {name} is missing")
    if info.shape != shape:
        raise ModelError(f"{file.path}: {name} has the shape {list(info.shape)}, expected {list(shape)}")
    if info.type not in SUPPORTED_TYPES:
        raise ModelError(f"{file.path}: {name} is stored as {info.type.name}, which is not supported")
