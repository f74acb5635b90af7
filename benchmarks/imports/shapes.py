"""GGUF files of real models' shapes: random weights, and another file's tokenizer.

What an import costs depends on sizes and storage alone, so such a file stands in for gigabytes that would have to be
fetched. Nothing is learned from it about fidelity.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType
from gguf.constants import GGML_QUANT_SIZES, GGUFValueType

from obeaver.models.gguf.reader import GgufFile

# Where blocks have their float16 factor, and a factor that makes weights as large as trained ones.
_FACTORS: Final[Mapping[str, tuple[int, float]]] = {
    "Q4_0": (0, 0.004),
    "Q8_0": (0, 0.0003),
    "Q4_K": (0, 0.00008),
    "Q6_K": (208, 0.00002),
}
STORAGES: Final = ("Q4_0", "Q4_K", "Q8_0")
_KEY: Final = "tokenizer."


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a llama.

    Attributes:
        layers: How many it has.
        hidden: Width of the model.
        ffn: Width of the feed-forward network.
        heads: Heads of queries.
        kv_heads: Heads of keys and values.
        vocab: Embeddings.
        tied: The embedding is the head.
        context: Tokens that the file says it can use.
    """

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool
    context: int


SHAPES: Final[Mapping[str, Shape]] = {
    "smollm2-1.7b": Shape(24, 2048, 8192, 32, 32, 49152, True, 8192),
    "llama-3.1-8b": Shape(32, 4096, 14336, 32, 8, 128256, False, 131072),
}


def write_shape(path: Path, shape: Shape, storage: str, tokenizer: GgufFile, *, seed: int = 0) -> Path:
    """Write a file; embedding and head are Q6_K, as llama-quantize leaves them.

    Args:
        path: Where to.
        shape: Its sizes.
        storage: Type of the layers' matrices, one of `STORAGES`.
        tokenizer: A file whose tokenizer it gets.
        seed: Of the weights.
    """
    writer = gguf.GGUFWriter(path, "llama")
    _add_sizes(writer, shape)
    for key, value in tokenizer.metadata.items():
        if key.startswith(_KEY):
            # Ids are unsigned: llama.cpp refuses others.
            is_id = isinstance(value, int) and not isinstance(value, bool)
            writer.add_key_value(key, value, GGUFValueType.UINT32 if is_id else GGUFValueType.get_type(value))
    tensors = dict(_tensors(shape, storage))
    for name, (sizes, kind) in tensors.items():
        if kind is GGMLQuantizationType.F32:
            writer.add_tensor_info(name, sizes, np.dtype(np.float32), 4 * sizes[0])
        else:
            rows, width = _stored(sizes, kind)
            writer.add_tensor_info(name, (rows, width), np.dtype(np.uint8), rows * width, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(seed)
    for sizes, kind in tensors.values():
        writer.write_tensor_data(_data(sizes, kind, random))
    writer.close()
    return path


def _add_sizes(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.hidden // shape.heads)


def _tensors(shape: Shape, storage: str) -> Iterator[tuple[str, tuple[tuple[int, ...], GGMLQuantizationType]]]:
    kind, vector, table = (GGMLQuantizationType[name] for name in (storage, "F32", "Q6_K"))
    hidden, kv_size = shape.hidden, shape.hidden // shape.heads * shape.kv_heads
    yield "token_embd.weight", ((shape.vocab, hidden), table)
    for layer in range(shape.layers):
        for name, rows, columns in (
            ("attn_q", hidden, hidden),
            ("attn_k", kv_size, hidden),
            ("attn_v", kv_size, hidden),
            ("attn_output", hidden, hidden),
            ("ffn_gate", shape.ffn, hidden),
            ("ffn_up", shape.ffn, hidden),
            ("ffn_down", hidden, shape.ffn),
        ):
            yield f"blk.{layer}.{name}.weight", ((rows, columns), kind)
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}.weight", ((hidden,), vector)
    yield "output_norm.weight", ((hidden,), vector)
    if not shape.tied:
        yield "output.weight", ((shape.vocab, hidden), table)


def _stored(sizes: tuple[int, ...], kind: GGMLQuantizationType) -> tuple[int, int]:
    """Rows, and bytes of each."""
    block, block_bytes = GGML_QUANT_SIZES[kind]
    return sizes[0], sizes[1] // block * block_bytes


def _data(
    sizes: tuple[int, ...], kind: GGMLQuantizationType, random: np.random.Generator
) -> npt.NDArray[np.float32] | npt.NDArray[np.uint8]:
    if kind is GGMLQuantizationType.F32:
        return (1 + 0.1 * random.standard_normal(sizes)).astype(np.float32)
    rows, width = _stored(sizes, kind)
    stored = np.frombuffer(random.bytes(rows * width), np.uint8).copy()
    blocks = stored.reshape(-1, GGML_QUANT_SIZES[kind][1])
    at, factor = _FACTORS[kind.name]
    blocks[:, at : at + 2] = np.array([factor], np.float16).view(np.uint8)
    if kind is GGMLQuantizationType.Q4_K:
        blocks[:, 2:4] = np.array([factor * 8], np.float16).view(np.uint8)
    return stored.reshape(rows, width)
