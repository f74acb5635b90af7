"""An independent float32 forward pass in numpy, straight over a GGUF's dequantised tensors.

It shares no code with `obeaver`: gguf's own reader, and the papers. RMSNorm (Zhang & Sennrich 2019), RoPE (Su et al.
2021), grouped-query attention (Ainslie et al. 2023), SwiGLU (Shazeer 2020), YaRN (Peng et al. 2023), experts (Shazeer
et al. 2017), and each family's own report. Rows of queries and keys are taken as the file has them: llama's rotate
pairs (2i, 2i + 1), qwen's rotate (i, i + head_dim / 2).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

PAIRS = ("llama", "ernie4_5", "mistral3", "smollm3", "granite", "minicpm", "command-r", "glm4")
LAYER_NORMS = ("command-r", "starcoder2")
GEMMA3 = ("gemma3", "gemma-embedding")
POST_NORMS = ("olmo2", "glm4", "gemma2", *GEMMA3)
PATTERNS = {"gemma2": 2, "gemma3": 6, "gemma-embedding": 6, "olmo2": 4, "gpt-oss": 2}


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
        self.hidden_size = int(self._of("embedding_length"))
        norm = "layer_norm" if self.family in LAYER_NORMS else "layer_norm_rms"
        self.epsilon = float(self._of(f"attention.{norm}_epsilon"))
        self.head_dim = int(self._of("attention.key_length", self.hidden_size // self.num_heads))
        self.residual_scale = 1.0
        if self.family in ("granite", "minicpm"):
            self.residual_scale = float(self._of("residual_scale", 1.4 / np.sqrt(self.num_layers)))

    def logits(self, token_ids: list[int]) -> FloatArray:
        """Logits [tokens, vocab_size] of a whole text."""
        return self.head(self.hidden(token_ids))

    def hidden(self, token_ids: list[int], cache: Cache | None = None) -> FloatArray:
        """Normalised last hidden states [tokens, hidden_size]; fills `cache`, if given."""
        x = self.weights["token_embd.weight"][np.asarray(token_ids)] * np.float32(self._embedding_scale())
        for layer in range(self.num_layers):
            x = self._layer(layer, x, cache)
        return self._norm(x, "output_norm")

    def head(self, hidden: FloatArray) -> FloatArray:
        """Logits of hidden states."""
        logits = hidden @ self.weights.get("output.weight", self.weights["token_embd.weight"]).T
        if self.family == "granite":
            logits = logits / float(self._of("logit_scale"))
        if self.family == "minicpm":
            logits = logits / float(self._of("logit_scale", 256 / self.hidden_size))
        if self.family == "command-r":
            logits = logits * float(self._of("logit_scale", 1.0))
        if self.family == "gemma2":
            logits = capped(logits, float(self._of("final_logit_softcapping", 30.0)))
        return np.asarray(logits, np.float32)

    def greedy(self, token_ids: list[int], count: int) -> list[int]:
        """The likeliest next token, `count` times over."""
        ids = list(token_ids)
        for _ in range(count):
            ids.append(int(self.logits(ids)[-1].argmax()))
        return ids[len(token_ids) :]

    def _of(self, key: str, default: Any = None) -> Any:
        return self._fields.get(f"{self.family}.{key}", default)

    def _embedding_scale(self) -> float:
        if self.family in ("gemma2", *GEMMA3):
            return float(np.sqrt(self.hidden_size))
        if self.family == "minicpm":
            return float(self._of("embedding_scale", 12.0))
        return float(self._of("embedding_scale", 1.0))

    def _layer(self, layer: int, x: FloatArray, cache: Cache | None) -> FloatArray:
        prefix, scale = f"blk.{layer}.", np.float32(self.residual_scale)
        before = x if self.family == "olmo2" else self._norm(x, f"{prefix}attn_norm")
        attended = self._attention(layer, before, cache)
        if self.family == "command-r":
            return x + attended + self._feed_forward(layer, before)
        if self.family in POST_NORMS:
            attended = self._norm(attended, f"{prefix}post_attention_norm")
        x = x + scale * attended
        if self.family == "olmo2":
            before = x
        else:
            renamed = self.family in ("seed_oss", "gpt-oss")
            before = self._norm(x, f"{prefix}post_attention_norm" if renamed else f"{prefix}ffn_norm")
        added = self._experts(layer, before) if f"{prefix}ffn_gate_inp.weight" in self.weights else None
        if added is None:
            added = self._feed_forward(layer, before)
        if self.family in POST_NORMS:
            added = self._norm(added, f"{prefix}post_ffw_norm")
        return np.asarray(x + scale * added, np.float32)

    def _norm(self, x: FloatArray, name: str) -> FloatArray:
        if self.family in LAYER_NORMS:
            x = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.epsilon)
        normed = x / scale * self.weights[f"{name}.weight"]
        return np.asarray(normed + self.weights.get(f"{name}.bias", 0), np.float32)

    def _linear(self, x: FloatArray, name: str) -> FloatArray:
        y = x @ self.weights[f"{name}.weight"].T
        return y + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else y

    def _projections(self, prefix: str, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        if f"{prefix}qkv.weight" not in self.weights:
            return self._linear(x, prefix + "q"), self._linear(x, prefix + "k"), self._linear(x, prefix + "v")
        q, kv = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        packed = self._linear(x, prefix + "qkv")
        return packed[:, :q], packed[:, q : q + kv], packed[:, q + kv :]

    def _attention(self, layer: int, x: FloatArray, cache: Cache | None) -> FloatArray:
        prefix = f"blk.{layer}.attn_"
        q, k, v = self._projections(prefix, x)
        if self.family == "olmo2":
            q, k = self._norm(q, prefix + "q_norm"), self._norm(k, prefix + "k_norm")
        q = q.reshape(len(x), self.num_heads, self.head_dim)
        k = k.reshape(len(x), self.num_kv_heads, self.head_dim)
        v = v.reshape(len(x), self.num_kv_heads, self.head_dim)
        has_norms = self.family == "command-r" and f"{prefix}q_norm.weight" in self.weights  # those of 64 layers
        if has_norms or self.family in ("qwen3", "qwen3vl", "qwen3moe", *GEMMA3):
            q, k = self._norm(q, prefix + "q_norm"), self._norm(k, prefix + "k_norm")
        if not (self.family == "smollm3" and layer % 4 == 3):
            q, k = self._rotate(layer, q), self._rotate(layer, k)
        if self.family == "hunyuan-dense":
            q, k = self._norm(q, prefix + "q_norm"), self._norm(k, prefix + "k_norm")
        if self.family == "mistral3" and (slope := float(self._of("attention.temperature_scale", 0.0))):
            step = int(self._of("rope.scaling.original_context_length"))
            q = q * (1 + slope * np.log(1 + np.arange(len(q)) // step)).astype(np.float32)[:, None, None]
        if cache is not None:
            cache.keys.append(k)
            cache.values.append(v)
        return self._linear(self._attend(layer, q, k, v).reshape(len(x), -1), prefix + "output")

    def _window(self, layer: int) -> int:
        if self.family == "phi3":
            return 0
        window = int(self._of("attention.sliding_window", 4096 if self.family == "gemma2" else 0))
        pattern = PATTERNS.get(self.family)
        return 0 if pattern and layer % pattern == pattern - 1 else window

    def _attend(self, layer: int, q: FloatArray, k: FloatArray, v: FloatArray) -> FloatArray:
        shared = self.num_heads // self.num_kv_heads
        k, v = np.repeat(k, shared, axis=1), np.repeat(v, shared, axis=1)
        scale = 1 / np.sqrt(np.float32(self.head_dim))
        if self.family == "granite":
            scale = np.float32(self._of("attention.scale", 0.0)) or scale
        scores = np.matmul(q.transpose(1, 0, 2), k.transpose(1, 2, 0)) * scale
        if self.family == "gemma2":
            scores = capped(scores, float(self._of("attn_logit_softcapping", 50.0)))
        places = np.arange(len(q))
        distance = places[:, None] - places[None, :]
        hidden = distance < 0
        if window := self._window(layer):
            hidden |= distance >= window
        if not self._of("attention.causal", self.family != "gemma-embedding"):
            hidden = abs(distance) > (window // 2 if window else len(q))
        scores = np.where(hidden, np.float32(-np.inf), scores)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        total = weights.sum(axis=-1, keepdims=True)
        if self.family == "gpt-oss":
            sinks = self.weights[f"blk.{layer}.attn_sinks.weight"][:, None, None]
            total = total + np.exp(sinks - scores.max(axis=-1, keepdims=True))
        mixed: FloatArray = np.matmul(weights / total, v.transpose(1, 0, 2)).transpose(1, 0, 2)
        return mixed

    def _frequencies(self, layer: int, width: int) -> tuple[npt.NDArray[np.float64], float]:
        """By how much a position turns each pair, and how much longer it makes them."""
        base = float(self._of("rope.freq_base", 10000.0))
        windowed = bool(self._window(layer))
        if self.family in GEMMA3 and windowed:
            return 10000.0 ** -(np.arange(0, width, 2) / width), 1.0
        plain = base ** -(np.arange(0, width, 2) / width)
        if "rope_freqs.weight" in self.weights:
            plain = plain / self.weights["rope_freqs.weight"]
        if "rope_factors_short.weight" in self.weights:
            plain = plain / self.weights["rope_factors_short.weight"]
        length = float(self._of("rope.scaling.attn_factor", 1.0))
        factor = float(self._of("rope.scaling.factor", 1.0))
        kind = self._of("rope.scaling.type", "linear")
        if kind != "yarn" or (self.family == "olmo2" and windowed):
            return plain / (factor if kind == "linear" else 1.0), length
        original = int(self._of("rope.scaling.original_context_length", self._of("context_length")))
        low, high = (width * np.log(original / (turns * 2 * np.pi)) / (2 * np.log(base)) for turns in (32, 1))
        low, high = max(np.floor(low), 0), min(np.ceil(high), width - 1)
        ramp = np.clip((np.arange(width // 2) - low) / max(high - low, 0.001), 0, 1)
        if not self._of("rope.scaling.yarn_log_multiplier", 0.0):
            length *= 0.1 * np.log(factor) + 1
        return plain * (1 - ramp) + plain / factor * ramp, length

    def _rotate(self, layer: int, x: FloatArray) -> FloatArray:
        width = int(self._of("rope.dimension_count", self.head_dim))
        half = width // 2
        frequencies, length = self._frequencies(layer, width)
        angles = np.arange(len(x))[:, None, None] * frequencies
        cos, sin = (np.cos(angles) * length).astype(np.float32), (np.sin(angles) * length).astype(np.float32)
        turned = x.copy()
        first, second = slice(0, half), slice(half, width)
        if self.family in PAIRS:
            first, second = slice(0, width, 2), slice(1, width, 2)
        turned[..., first] = x[..., first] * cos - x[..., second] * sin
        turned[..., second] = x[..., first] * sin + x[..., second] * cos
        return turned

    def _feed_forward(self, layer: int, x: FloatArray) -> FloatArray:
        prefix = f"blk.{layer}.ffn_"
        up = self._linear(x, prefix + "up")
        if self.family == "starcoder2":
            return self._linear(gelu(up), prefix + "down")
        if f"{prefix}gate.weight" in self.weights:
            gate = self._linear(x, prefix + "gate")
        else:
            gate, up = np.split(up, 2, axis=-1)
        activated = gelu(gate) if self.family in ("gemma2", *GEMMA3) else silu(gate)
        return self._linear(activated * up, prefix + "down")

    def _experts(self, layer: int, x: FloatArray) -> FloatArray:
        prefix = f"blk.{layer}.ffn_"
        scores = self._linear(x, prefix + "gate_inp")
        added = np.zeros_like(x)
        for token, row in enumerate(x):
            chosen = np.argsort(-scores[token])[: int(self._of("expert_used_count"))]
            shares = np.exp(scores[token, chosen] - scores[token].max())
            for expert, share in zip(chosen, shares / shares.sum(), strict=True):
                added[token] += share * self._expert(prefix, int(expert), row)
        return added

    def _expert(self, prefix: str, expert: int, x: FloatArray) -> FloatArray:
        def linear(name: str, x: FloatArray) -> FloatArray:
            bias = self.weights.get(f"{prefix}{name}_exps.bias")
            y = self.weights[f"{prefix}{name}_exps.weight"][expert] @ x
            return np.asarray(y if bias is None else y + bias[expert], np.float32)

        gate, up = linear("gate", x), linear("up", x)
        if self.family == "gpt-oss":
            gate, up = np.minimum(gate, 7), np.clip(up, -7, 7)
            return linear("down", gate / (1 + np.exp(-1.702 * gate)) * (up + 1))
        return linear("down", silu(gate) * up)


def silu(x: FloatArray) -> FloatArray:
    return np.asarray(x / (1 + np.exp(-x)), np.float32)


def gelu(x: FloatArray) -> FloatArray:
    """The approximation by a hyperbolic tangent (Hendrycks & Gimpel 2016)."""
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))), np.float32)


def capped(x: FloatArray, cap: float) -> FloatArray:
    return np.asarray(cap * np.tanh(x / cap), np.float32)
