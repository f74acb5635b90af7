"""Encoders in plain numpy, straight over a GGUF's tensors: BERT (Devlin et al. 2018), Nomic's variant with rotary
embedding and SwiGLU (Nussbaum et al. 2024), and ModernBERT (Warner et al. 2024).

In float64, one text at a time. Shares no code with `obeaver`.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class GgufEncoder:
    """A GGUF encoder in numpy."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self.weights = {
            t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64).reshape(t.shape.tolist()[::-1])
            for t in reader.tensors
        }
        self._fields = {name: field.contents() for name, field in reader.fields.items()}
        self.family = self._fields["general.architecture"]
        self.heads = int(self._of("attention.head_count"))

    def hidden(self, ids: Sequence[int], types: Sequence[int] = ()) -> Array:
        """Hidden states [tokens, size]."""
        x = self.weights["token_embd.weight"][list(ids)]
        if "token_types.weight" in self.weights:
            x = x + self.weights["token_types.weight"][list(types) or [0] * len(ids)]
        if "position_embd.weight" in self.weights:
            x = x + self.weights["position_embd.weight"][: len(ids)]
        x = self._norm("token_embd_norm", x)
        for layer in range(int(self._of("block_count"))):
            x = (self._modern_layer if self.family == "modern-bert" else self._layer)(layer, x)
        return self._norm("output_norm", x) if self.family == "modern-bert" else x

    def _layer(self, layer: int, x: Array) -> Array:
        prefix = f"blk.{layer}."
        x = self._norm(f"{prefix}attn_output_norm", x + self._attention(layer, x))
        up = self._linear(f"{prefix}ffn_up", x)
        inner = silu(self._linear(f"{prefix}ffn_gate", x)) * up if self.family == "nomic-bert" else gelu(up)
        return self._norm(f"{prefix}layer_output_norm", x + self._linear(f"{prefix}ffn_down", inner))

    def _modern_layer(self, layer: int, x: Array) -> Array:
        prefix = f"blk.{layer}."
        x = x + self._attention(layer, x if layer == 0 else self._norm(f"{prefix}attn_norm", x))
        gate, up = np.split(self._linear(f"{prefix}ffn_up", self._norm(f"{prefix}ffn_norm", x)), 2, axis=-1)
        return x + self._linear(f"{prefix}ffn_down", gelu(gate) * up)

    def _attention(self, layer: int, x: Array) -> Array:
        prefix = f"blk.{layer}.attn_"
        if f"{prefix}qkv.weight" in self.weights:
            q, k, v = np.split(self._linear(f"{prefix}qkv", x), 3, axis=-1)
        else:
            q, k, v = (self._linear(prefix + which, x) for which in "qkv")
        q, k, v = (each.reshape(len(x), self.heads, -1).swapaxes(0, 1) for each in (q, k, v))
        window = self._window(layer)
        if self.family != "bert":
            base = float(self._of("rope.freq_base_swa", 10000.0) if window else self._of("rope.freq_base", 10000.0))
            q, k = turned(q, base), turned(k, base)
        scores = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])
        if window:
            places = np.arange(len(x))
            scores = np.where(np.abs(places[:, None] - places) > window // 2, -np.inf, scores)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (shares / shares.sum(axis=-1, keepdims=True)) @ v
        return self._linear(f"{prefix}output", mixed.swapaxes(0, 1).reshape(len(x), -1))

    def _window(self, layer: int) -> int:
        is_whole = self.family != "modern-bert" or layer % int(self._of("attention.sliding_window_pattern", 3)) == 0
        return 0 if is_whole else int(self._of("attention.sliding_window"))

    def _linear(self, name: str, x: Array) -> Array:
        y: Array = x @ self.weights[f"{name}.weight"].T
        return y + self.weights.get(f"{name}.bias", 0)

    def _norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        size = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + float(self._of("attention.layer_norm_epsilon")))
        scaled: Array = centred / size * self.weights[f"{name}.weight"]
        return scaled + self.weights.get(f"{name}.bias", 0)

    def _of(self, key: str, default: Any = None) -> Any:
        return self._fields.get(f"{self.family}.{key}", default)


def turned(x: Array, base: float) -> Array:
    """Rotary embedding of [heads, tokens, width]: element i with i + width / 2."""
    width = x.shape[-1]
    angles = np.arange(x.shape[1])[:, None] * base ** -(np.arange(0, width, 2) / width)
    a, b = x[..., : width // 2], x[..., width // 2 :]
    return np.concatenate([a * np.cos(angles) - b * np.sin(angles), a * np.sin(angles) + b * np.cos(angles)], axis=-1)


def silu(x: Array) -> Array:
    product: Array = x / (1 + np.exp(-x))
    return product


def gelu(x: Array) -> Array:
    product: Array = 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return product
