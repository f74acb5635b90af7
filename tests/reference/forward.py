"""An independent float32 forward pass in numpy, straight over a GGUF's dequantised tensors.

It shares no code with `obeaver`: gguf's own reader, and the papers. RMSNorm (Zhang & Sennrich 2019), RoPE (Su et al.
2021), grouped-query attention (Ainslie et al. 2023), SwiGLU (Shazeer 2020). Rows of queries and keys are taken as the
file has them: llama's rotate pairs (2i, 2i + 1), qwen's rotate (i, i + head_dim / 2).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass
class Cache:
    """Keys (after RoPE) and values of the tokens so far, one array [tokens, kv_heads, head_dim] a layer."""

    keys: list[FloatArray] = field(default_factory=list)
    values: list[FloatArray] = field(default_factory=list)


class Reference:
    """A GGUF model in numpy. All weights are held as float32."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self.weights = {
            t.name: gguf.quants.dequantize(t.data, t.tensor_type)
            .astype(np.float32)
            .reshape(tuple(reversed(t.shape.tolist())))
            for t in reader.tensors
        }
        self._fields = {name: f.contents() for name, f in reader.fields.items()}
        self.family = self._fields["general.architecture"]
        self.num_layers = int(self._of("block_count"))
        self.num_heads = int(self._of("attention.head_count"))
        self.num_kv_heads = int(self._of("attention.head_count_kv"))
        self.epsilon = float(self._of("attention.layer_norm_rms_epsilon"))
        self.head_dim = int(self._of("attention.key_length", self._of("embedding_length") // self.num_heads))
        self.window = int(self._of("attention.sliding_window", 0))

    def logits(self, token_ids: list[int]) -> FloatArray:
        """Logits [tokens, vocab_size] of a whole text."""
        return self.head(self.hidden(token_ids))

    def hidden(self, token_ids: list[int], cache: Cache | None = None) -> FloatArray:
        """Normalised last hidden states [tokens, hidden_size]; fills `cache`, if given."""
        x = self.weights["token_embd.weight"][np.asarray(token_ids)]
        for layer in range(self.num_layers):
            x = x + self._attention(layer, self._norm(x, f"blk.{layer}.attn_norm"), cache)
            x = x + self._feed_forward(layer, self._norm(x, f"blk.{layer}.ffn_norm"))
        return self._norm(x, "output_norm")

    def head(self, hidden: FloatArray) -> FloatArray:
        """Logits of hidden states."""
        return hidden @ self.weights.get("output.weight", self.weights["token_embd.weight"]).T

    def greedy(self, token_ids: list[int], count: int) -> list[int]:
        """The likeliest next token, `count` times over."""
        ids = list(token_ids)
        for _ in range(count):
            ids.append(int(self.logits(ids)[-1].argmax()))
        return ids[len(token_ids) :]

    def _of(self, key: str, default: Any = None) -> Any:
        return self._fields.get(f"{self.family}.{key}", default)

    def _norm(self, x: FloatArray, name: str) -> FloatArray:
        scale = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.epsilon)
        return np.asarray(x / scale * self.weights[f"{name}.weight"], np.float32)

    def _linear(self, x: FloatArray, name: str) -> FloatArray:
        y = x @ self.weights[f"{name}.weight"].T
        return y + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else y

    def _attention(self, layer: int, x: FloatArray, cache: Cache | None) -> FloatArray:
        prefix = f"blk.{layer}.attn_"
        q = self._linear(x, prefix + "q").reshape(len(x), self.num_heads, self.head_dim)
        k = self._linear(x, prefix + "k").reshape(len(x), self.num_kv_heads, self.head_dim)
        v = self._linear(x, prefix + "v").reshape(len(x), self.num_kv_heads, self.head_dim)
        if self.family == "qwen3":
            q, k = self._norm(q, prefix + "q_norm"), self._norm(k, prefix + "k_norm")
        q, k = self._rotate(q), self._rotate(k)
        if cache is not None:
            cache.keys.append(k)
            cache.values.append(v)
        return self._linear(self._attend(q, k, v).reshape(len(x), -1), prefix + "output")

    def _attend(self, q: FloatArray, k: FloatArray, v: FloatArray) -> FloatArray:
        shared = self.num_heads // self.num_kv_heads
        k, v = np.repeat(k, shared, axis=1), np.repeat(v, shared, axis=1)
        scores = np.matmul(q.transpose(1, 0, 2), k.transpose(1, 2, 0)) / np.sqrt(np.float32(self.head_dim))
        places = np.arange(len(q))
        distance = places[:, None] - places[None, :]
        hidden = distance < 0
        if self.window:
            hidden |= distance >= self.window
        scores = np.where(hidden, np.float32(-np.inf), scores)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed: FloatArray = np.matmul(weights, v.transpose(1, 0, 2)).transpose(1, 0, 2)
        return mixed

    def _rotate(self, x: FloatArray) -> FloatArray:
        half = self.head_dim // 2
        base = float(self._of("rope.freq_base", 10000.0))
        frequencies = base ** -(np.arange(half) / half)
        if "rope_freqs.weight" in self.weights:
            frequencies = frequencies / self.weights["rope_freqs.weight"]
        if self._of("rope.scaling.type") == "linear":
            frequencies = frequencies / float(self._of("rope.scaling.factor"))
        angles = np.arange(len(x))[:, None, None] * frequencies
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        turned = np.empty_like(x)
        first, second = (
            (slice(0, None, 2), slice(1, None, 2)) if self.family == "llama" else (slice(0, half), slice(half, None))
        )
        turned[..., first] = x[..., first] * cos - x[..., second] * sin
        turned[..., second] = x[..., first] * sin + x[..., second] * cos
        return turned

    def _feed_forward(self, layer: int, x: FloatArray) -> FloatArray:
        gate = self._linear(x, f"blk.{layer}.ffn_gate")
        up = self._linear(x, f"blk.{layer}.ffn_up")
        return self._linear(gate / (1 + np.exp(-gate)) * up, f"blk.{layer}.ffn_down")
