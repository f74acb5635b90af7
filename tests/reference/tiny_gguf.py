"""Makes small random GGUF files of every architecture and storage type, with gguf's own writer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType

FloatArray = npt.NDArray[np.float32]
Value = int | float | str | bool | list[int] | list[bool] | list[str]

ARCHITECTURES = ("llama", "qwen2", "qwen3")
DENSE = (
    *ARCHITECTURES,
    *("ernie4_5", "mistral3", "smollm3", "granite", "minicpm", "command-r", "glm4", "qwen2vl", "exaone", "seed_oss"),
    *("qwen3vl", "hunyuan-dense", "phi3", "starcoder2", "olmo2", "gemma2", "gemma3"),
)
MIXTURES = ("llama", "qwen3moe", "gpt-oss")
TYPES = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K")
FURTHER_TYPES = (
    *("Q2_K", "Q3_K", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS"),
    *("TQ1_0", "TQ2_0", "MXFP4", "NVFP4"),
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

_POST_NORMS = ("post_attention_norm", "post_ffw_norm")
_NORMS: Mapping[str, tuple[str, ...]] = {
    "seed_oss": ("attn_norm", "post_attention_norm"),
    "gpt-oss": ("attn_norm", "post_attention_norm"),
    "command-r": ("attn_norm",),
    "olmo2": _POST_NORMS,
    **dict.fromkeys(("glm4", "gemma2", "gemma3", "gemma-embedding"), ("attn_norm", "ffn_norm", *_POST_NORMS)),
}
_BIASED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("qwen2", "qwen2vl", "seed_oss", "glm4"), ("attn_q", "attn_k", "attn_v")),
    "gpt-oss": ("attn_q", "attn_k", "attn_v", "attn_output"),
    "starcoder2": ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"),
}
# What files of these families say beside sizes, as llama.cpp requires it.
_KEYS: Mapping[str, Mapping[str, Value]] = {
    "granite": {"embedding_scale": 12.0, "residual_scale": 0.22, "logit_scale": 8.0, "attention.scale": 0.02},
    "command-r": {"attention.layer_norm_epsilon": 1e-5, "logit_scale": 0.0625},
    "starcoder2": {"attention.layer_norm_epsilon": 1e-5},
    "qwen2vl": {"rope.dimension_sections": [8, 4, 4, 0]},
    "qwen3vl": {"rope.dimension_sections": [6, 5, 5, 0]},
    "gpt-oss": {"attention.sliding_window": 32},
}

# Where a block of these types has its float16 factors; the package can read them and not write them.
_K_FACTORS: Mapping[str, tuple[int, ...]] = {
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    **dict.fromkeys(("IQ1_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS"), (0,)),
    "IQ1_M": (),
    "NVFP4": (),
}


@dataclass(frozen=True)
class TinyGguf:
    """What to make.

    Attributes:
        type: Storage of all matrices; vectors are F32.
        types: Storage of matrices by name, such as `ffn_down`, where it is another.
        tokens: Entries of the vocabulary; None is one for each embedding.
        metadata: Further keys, without the architecture's prefix; they win over what is made here.
        experts: In place of each feed-forward network; two are used for a token.
        vectors: Further tensors by name.
        without: Tensors to leave out.
        chat_template: Of the tokenizer; None for a model that has none.
        tokenizer: Further keys of the tokenizer, without their prefix.
    """

    architecture: str = "llama"
    type: str = "F32"
    types: Mapping[str, str] = field(default_factory=dict)
    layers: int = 2
    hidden: int = 256
    ffn: int = 512
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    vocab: int = 288
    context: int = 160
    tokens: int | None = None
    tied: bool = True
    biases: tuple[str, ...] = ()
    experts: int = 0
    metadata: Mapping[str, Value] = field(default_factory=dict)
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    seed: int = 0
    chat_template: str | None = None
    tokenizer: Mapping[str, Value] = field(default_factory=dict)

    def write(self, path: Path, *, tensors_each: int = 0) -> Path:
        """Write the file; returns its path.

        Args:
            path: Where to.
            tensors_each: In parts of so many tensors, beside that path: `name-00001-of-00003.gguf` and so on.
        """
        writer = gguf.GGUFWriter(path, self.architecture, split_max_tensors=tensors_each)
        for key, value in self._metadata().items():
            _add(writer, f"{self.architecture}.{key}", value)
        writer.add_license("apache-2.0")
        _add_tokenizer(writer, self.tokens or self.vocab)
        for key, value in self.tokenizer.items():
            _add(writer, f"tokenizer.{key}", value)
        if self.chat_template is not None:
            writer.add_chat_template(self.chat_template)
        for name, tensor, kind in self._tensors():
            if name not in self.without:
                writer.add_tensor(name, tensor, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _metadata(self) -> dict[str, Value]:
        mixture = {"expert_count": self.experts, "expert_used_count": 2, "expert_feed_forward_length": self.ffn}
        return {
            "block_count": self.layers,
            "context_length": self.context,
            "embedding_length": self.hidden,
            "feed_forward_length": self.ffn,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.key_length": self.head_dim,
            "attention.value_length": self.head_dim,
            "attention.layer_norm_rms_epsilon": 1e-5,
            "rope.freq_base": 10000.0,
            **(mixture if self.experts else {}),
            **_KEYS.get(self.architecture, {}),
            **self.metadata,
        }

    def _tensors(self) -> Iterator[tuple[str, npt.NDArray[np.generic], GGMLQuantizationType]]:
        random = np.random.default_rng(self.seed)
        kind = GGMLQuantizationType[self.type]
        yield "token_embd.weight", *self._matrix(random, self.vocab, self.hidden, kind)
        if not self.tied:
            yield "output.weight", *self._matrix(random, self.vocab, self.hidden, kind)
        yield "output_norm.weight", _norm(random, self.hidden), GGMLQuantizationType.F32
        for layer in range(self.layers):
            for name, rows, columns in self._matrices():
                own = GGMLQuantizationType[self.types.get(name, self.type)]
                yield f"blk.{layer}.{name}.weight", *self._matrix(random, rows, columns, own)
                if name in self._biased():
                    yield f"blk.{layer}.{name}.bias", _bias(random, rows), GGMLQuantizationType.F32
            for name, size in self._norms():
                yield f"blk.{layer}.{name}.weight", _norm(random, size), GGMLQuantizationType.F32
                if self.architecture == "starcoder2":
                    yield f"blk.{layer}.{name}.bias", _bias(random, size), GGMLQuantizationType.F32
            for name, tensor in self._others(random):
                yield f"blk.{layer}.{name}", tensor, GGMLQuantizationType.F32
        if self.architecture == "starcoder2":
            yield "output_norm.bias", _bias(random, self.hidden), GGMLQuantizationType.F32
        for name, vector in self.vectors.items():
            yield name, vector, GGMLQuantizationType.F32

    def _biased(self) -> tuple[str, ...]:
        return self.biases or _BIASED.get(self.architecture, ())

    def _matrices(self) -> list[tuple[str, int, int]]:
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        heads = [("attn_q", q, self.hidden), ("attn_k", kv, self.hidden), ("attn_v", kv, self.hidden)]
        if self.architecture == "phi3":
            heads = [("attn_qkv", q + 2 * kv, self.hidden)]
        heads.append(("attn_output", self.hidden, q))
        if self.experts:
            return heads
        down = ("ffn_down", self.hidden, self.ffn)
        if self.architecture in ("phi3", "glm4"):
            return [*heads, ("ffn_up", 2 * self.ffn, self.hidden), down]
        gate = [] if self.architecture == "starcoder2" else [("ffn_gate", self.ffn, self.hidden)]
        return [*heads, *gate, ("ffn_up", self.ffn, self.hidden), down]

    def _norms(self) -> list[tuple[str, int]]:
        names = [(name, self.hidden) for name in _NORMS.get(self.architecture, ("attn_norm", "ffn_norm"))]
        if self.architecture in ("qwen3", "qwen3vl", "qwen3moe", "hunyuan-dense", "gemma3", "gemma-embedding"):
            names += [("attn_q_norm", self.head_dim), ("attn_k_norm", self.head_dim)]
        if self.architecture == "olmo2":
            names += [("attn_q_norm", self.heads * self.head_dim), ("attn_k_norm", self.kv_heads * self.head_dim)]
        return names

    def _others(self, random: np.random.Generator) -> Iterator[tuple[str, FloatArray]]:
        """Sinks, and experts with what scores them."""
        clamped = self.architecture == "gpt-oss"
        if clamped:
            yield "attn_sinks.weight", random.normal(0, 1, self.heads).astype(np.float32)
        if not self.experts:
            return
        wide, narrow = (self.experts, self.ffn, self.hidden), (self.experts, self.hidden, self.ffn)
        shapes = {"gate_inp": wide[::2], "gate_exps": wide, "up_exps": wide, "down_exps": narrow}
        for name, shape in shapes.items():
            yield f"ffn_{name}.weight", random.normal(0, 1.5 / np.sqrt(shape[-1]), shape).astype(np.float32)
            if clamped:
                yield f"ffn_{name}.bias", random.normal(0, 0.5, shape[:-1]).astype(np.float32)

    def _matrix(
        self, random: np.random.Generator, rows: int, columns: int, kind: GGMLQuantizationType
    ) -> tuple[npt.NDArray[np.generic], GGMLQuantizationType]:
        if kind.name in _K_FACTORS:
            return _random_k_blocks(random, rows, columns, kind), kind
        matrix = random.normal(0, 1.5 / np.sqrt(columns), (rows, columns)).astype(np.float32)
        return gguf.quants.quantize(matrix, kind), kind


def _random_k_blocks(
    random: np.random.Generator, rows: int, columns: int, kind: GGMLQuantizationType
) -> npt.NDArray[np.uint8]:
    """Random bytes, with factors that give the matrix the spread of a trained one."""
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (rows * columns // block, block_bytes), np.uint8)
    if kind.name == "NVFP4":
        blocks[:, :4] = 0x10  # a scale of 16 columns each, as a float of 8 bits
        return blocks.reshape(rows, -1)
    _set_factors(blocks, kind, np.float16(1e-3))
    spread = float(gguf.quants.dequantize(blocks.reshape(rows, -1), kind).std())
    _set_factors(blocks, kind, np.float16(1e-3 * 1.5 / np.sqrt(columns) / spread))
    return blocks.reshape(rows, -1)


def _set_factors(blocks: npt.NDArray[np.uint8], kind: GGMLQuantizationType, factor: np.float16) -> None:
    for place in _K_FACTORS[kind.name]:
        blocks[:, place : place + 2] = np.frombuffer(factor.tobytes(), np.uint8)
    if kind.name == "IQ1_M":  # its factor lies in the upper halves of the last four odd bytes, lowest first
        bits = int(factor.view(np.uint16))
        for i in range(4):
            byte = blocks[:, 49 + 2 * i]
            byte[:] = (byte & 0x0F) | ((bits >> 4 * i & 0x0F) << 4)


def _bias(random: np.random.Generator, size: int) -> FloatArray:
    return random.normal(0, 0.5, size).astype(np.float32)


def _norm(random: np.random.Generator, size: int) -> FloatArray:
    return random.uniform(0.5, 1.5, size).astype(np.float32)


def _add(writer: gguf.GGUFWriter, key: str, value: Value) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def _add_tokenizer(writer: gguf.GGUFWriter, vocab: int) -> None:
    """A byte-level vocabulary: three special tokens, the bytes, and padding."""
    tokens = [*SPECIAL, *_byte_letters(), "Ġt", "he"]
    types = [3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL))
    padding = vocab - len(tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([*tokens, *(f"[PAD{n}]" for n in range(padding))])
    writer.add_token_types(types + [5] * padding)
    writer.add_token_merges(["Ġ t", "h e"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte: printable ones stand for themselves, the others are moved above 255."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(moved)) for byte in range(256)]
