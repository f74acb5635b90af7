"""Small random encoders as GGUF files, with the tensors and keys that llama.cpp's converter writes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
HIDDEN, HEADS, INNER, LAYERS, POSITIONS = 64, 4, 96, 4, 100
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# As WordPiece writes them; the converter takes `##` away and marks what begins a word instead.
PIECES = ["beaver", "build", "dam", ".", ",", "über", "uber", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
CONTROL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SENTENCE_PIECES = ["▁", "▁be", "aver", "▁beaver", "▁build", "▁dam", ".", ",", *LETTERS]
SENTENCE_CONTROL = ["<s>", "<pad>", "</s>", "<unk>"]


@dataclass(frozen=True)
class EncoderGguf:
    """What to make.

    Attributes:
        architecture: `bert`, `nomic-bert` or `modern-bert`.
        tokenizer: `bert` or `t5`.
        pooling: llama.cpp's number; None: the file does not say it.
        heads: Layers behind pooling by name, weight and bias.
    """

    architecture: str = "bert"
    tokenizer: str = "bert"
    pooling: int | None = 1
    heads: Mapping[str, FloatArray] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """Write the file; returns its path."""
        writer = gguf.GGUFWriter(path, self.architecture)
        tokens = self._tokenizer(writer)
        for key, value in self._counts().items():
            writer.add_uint32(f"{self.architecture}.{key}", value)
        writer.add_uint32("tokenizer.ggml.token_type_count", 2 if self.tokenizer == "bert" else 1)
        writer.add_float32(f"{self.architecture}.attention.layer_norm_epsilon", 1e-5)
        writer.add_bool(f"{self.architecture}.attention.causal", False)
        if self.architecture != "bert":
            writer.add_float32(f"{self.architecture}.rope.freq_base", 1000.0)
        if self.architecture == "modern-bert":
            writer.add_float32(f"{self.architecture}.rope.freq_base_swa", 500.0)
        if self.pooling is not None:
            writer.add_uint32(f"{self.architecture}.pooling_type", self.pooling)
        for name, tensor in {**dict(self._tensors(len(tokens))), **self.heads}.items():
            writer.add_tensor(name, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _counts(self) -> dict[str, int]:
        windows = {"attention.sliding_window": 8, "attention.sliding_window_pattern": 3}
        return {
            "block_count": LAYERS,
            "context_length": POSITIONS,
            "embedding_length": HIDDEN,
            "feed_forward_length": INNER,
            "attention.head_count": HEADS,
            **(windows if self.architecture == "modern-bert" else {}),
        }

    def _tensors(self, vocab: int) -> Iterator[tuple[str, FloatArray]]:
        rng = np.random.default_rng(11)

        def random(*shape: int, scale: float = 0.2) -> FloatArray:
            return (rng.standard_normal(shape) * scale).astype(np.float32)

        def norm(name: str) -> Iterator[tuple[str, FloatArray]]:
            yield f"{name}.weight", 1 + random(HIDDEN)
            if self.architecture != "modern-bert":
                yield f"{name}.bias", random(HIDDEN)

        is_bert, is_modern = self.architecture == "bert", self.architecture == "modern-bert"
        yield "token_embd.weight", random(vocab, HIDDEN, scale=1)
        yield from norm("token_embd_norm")
        if not is_modern:
            yield "token_types.weight", random(2 if self.tokenizer == "bert" else 1, HIDDEN)
        if is_bert:
            yield "position_embd.weight", random(POSITIONS, HIDDEN)
        if is_modern:
            yield from norm("output_norm")
        for layer in range(LAYERS):
            prefix = f"blk.{layer}."
            for name, rows, columns in self._matrices():
                yield f"{prefix}{name}.weight", random(rows, columns)
                if is_bert:
                    yield f"{prefix}{name}.bias", random(rows)
            names = ("attn_norm", "ffn_norm") if is_modern else ("attn_output_norm", "layer_output_norm")
            for name in names[layer == 0 and is_modern :]:
                yield from norm(f"{prefix}{name}")

    def _matrices(self) -> list[tuple[str, int, int]]:
        out, down = ("attn_output", HIDDEN, HIDDEN), ("ffn_down", HIDDEN, INNER)
        if self.architecture == "bert":
            return [*((f"attn_{which}", HIDDEN, HIDDEN) for which in "qkv"), out, ("ffn_up", INNER, HIDDEN), down]
        qkv = ("attn_qkv", 3 * HIDDEN, HIDDEN)
        if self.architecture == "modern-bert":
            return [qkv, out, ("ffn_up", 2 * INNER, HIDDEN), down]
        return [qkv, out, ("ffn_gate", INNER, HIDDEN), ("ffn_up", INNER, HIDDEN), down]

    def _tokenizer(self, writer: gguf.GGUFWriter) -> list[str]:
        if self.tokenizer == "t5":
            return _sentence_pieces(writer)
        tokens = [*CONTROL, *(piece[2:] if piece.startswith("##") else f"▁{piece}" for piece in PIECES)]
        writer.add_tokenizer_model("bert")
        writer.add_tokenizer_pre("jina-v2-en")
        writer.add_token_list(tokens)
        writer.add_token_types([3] * len(CONTROL) + [1] * len(PIECES))
        ids = {"padding": 0, "unknown": 1, "bos": 2, "cls": 2, "eos": 3, "seperator": 3, "mask": 4}
        for name, token in ids.items():
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
        return tokens


def _sentence_pieces(writer: gguf.GGUFWriter) -> list[str]:
    tokens = [*SENTENCE_CONTROL, *SENTENCE_PIECES]
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 4 + [-1.0 - 0.1 * n for n in range(len(SENTENCE_PIECES))])
    writer.add_token_types([3, 3, 3, 2, *[1] * len(SENTENCE_PIECES)])
    for flag in ("add_space_prefix", "remove_extra_whitespaces", "add_bos_token", "add_eos_token"):
        writer.add_bool(f"tokenizer.ggml.{flag}", True)
    for name, token in (("bos", 0), ("padding", 1), ("eos", 2), ("unknown", 3), ("cls", 0), ("seperator", 2)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    return tokens
