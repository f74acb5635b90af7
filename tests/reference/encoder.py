"""BERT in plain numpy, from its published description: what the imported graphs are compared with.

In the precision of the weights, one text at a time, no padding, no fused operators. Shares no code with the product.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


def _erf(x: Array) -> Array:
    """The error function to 1.5e-7. Source: Abramowitz and Stegun, 7.1.26."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    rest: Array = 1 - series * np.exp(-(x**2))
    return np.sign(x) * rest


def read_safetensors(path: Path) -> dict[str, Array]:
    """All float32 tensors of a file, as they are."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors


def hidden_states(
    weights: Mapping[str, Array], config: Mapping[str, Any], ids: Sequence[int], types: Sequence[int], first: int = 0
) -> Array:
    """Hidden states [tokens, hidden_size] of one text.

    Args:
        weights: Named as BERT's, without a prefix.
        config: Its config.json.
        ids: Tokens.
        types: Segments.
        first: Row of the first position.
    """
    epsilon, num_heads = config["layer_norm_eps"], config["num_attention_heads"]

    def linear(name: str, x: Array) -> Array:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled: Array = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def heads(x: Array) -> Array:
        return x.reshape(len(x), num_heads, -1).swapaxes(0, 1)

    x = weights["embeddings.word_embeddings.weight"][list(ids)]
    x = x + weights["embeddings.position_embeddings.weight"][first : first + len(ids)]
    x = norm("embeddings.LayerNorm", x + weights["embeddings.token_type_embeddings.weight"][list(types)])
    for index in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        q, k, v = (heads(linear(f"{layer}.attention.self.{name}", x)) for name in ("query", "key", "value"))
        scores = q @ k.swapaxes(1, 2) / q.shape[-1] ** 0.5
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        attended = (shares / shares.sum(axis=-1, keepdims=True)) @ v
        joined = attended.swapaxes(0, 1).reshape(x.shape)
        x = norm(f"{layer}.attention.output.LayerNorm", x + linear(f"{layer}.attention.output.dense", joined))
        inner = linear(f"{layer}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + _erf(inner / 2**0.5))
        x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", inner))
    return x


def mean_vector(hidden: Array) -> Array:
    """The mean of the tokens, brought to length 1."""
    mean: Array = hidden.mean(axis=0)
    return mean / np.linalg.norm(mean)
