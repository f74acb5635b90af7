"""Steps behind a graph, written as sentence-transformers has them: pooling, dense layers, length 1."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from obeaver.models.encoder.layout import CONFIG, MODULES
from obeaver.models.encoder.safetensors import SINGLE_FILE
from obeaver.models.gguf.reader import FloatArray

_KIND: Final = "sentence_transformers.models."


@dataclass(frozen=True, slots=True)
class Step:
    """A dense layer.

    Attributes:
        weight: [out, in].
        bias: [out], or None.
        activation: PyTorch's name of what follows it.
    """

    weight: FloatArray
    bias: FloatArray | None
    activation: str = "torch.nn.modules.linear.Identity"


def write_steps(folder: Path, pooling: str, size: int, steps: Sequence[Step]) -> None:
    """Write `modules.json` and a folder for each step.

    Args:
        folder: The model's.
        pooling: How a vector is made of those of tokens.
        size: Of a token's.
        steps: Layers after that.
    """
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    _write(folder / "1_Pooling", {"word_embedding_dimension": size, "pooling_mode": pooling.removesuffix("_tokens")})
    for number, step in enumerate(steps, start=2):
        place = f"{number}_Dense"
        _write_dense(folder / place, step)
        kinds.append((place, "Dense"))
    kinds.append((f"{len(kinds)}_Normalize", "Normalize"))
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": _KIND + kind}
        for index, (path, kind) in enumerate(kinds)
    ]
    (folder / MODULES).write_text(json.dumps(modules, indent=2) + "\n", encoding="utf-8")


def _write_dense(folder: Path, step: Step) -> None:
    rows, columns = step.weight.shape
    config = {
        "in_features": columns,
        "out_features": rows,
        "bias": step.bias is not None,
        "activation_function": step.activation,
    }
    _write(folder, config)
    tensors = {"linear.weight": step.weight} | ({} if step.bias is None else {"linear.bias": step.bias})
    (folder / SINGLE_FILE).write_bytes(_safetensors(tensors))


def _write(folder: Path, config: Mapping[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _safetensors(tensors: Mapping[str, FloatArray]) -> bytes:
    """A file by the format's specification, version 0.7."""
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    for name, values in tensors.items():
        parts.append(np.ascontiguousarray(values, "<f4").tobytes())
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [offset, offset + len(parts[-1])]}
        offset += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)
