"""Makes the model folders here again. See README.md for what it needs.

Each is exported by onnxruntime-genai's own model builder from a Hugging Face checkpoint with random weights.
"""

import argparse
import json
import os
import runpy
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import torch  # type: ignore[import-not-found]
import transformers  # type: ignore[import-not-found]
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

HERE = Path(__file__).parent
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
SIZE = {
    "vocab_size": 288,
    "hidden_size": 64,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
# Narrower than most prompts of the tests, so that the window matters.
WINDOW = {"sliding_window": 8}
GEMMA_WINDOW = WINDOW | {"query_pre_attn_scalar": 16, "layer_types": ["sliding_attention", "full_attention"]}
LONG_ROPE = {
    "max_position_embeddings": 256,
    "original_max_position_embeddings": 64,
    "rope_parameters": {
        "rope_type": "longrope",
        "type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 8,
        "long_factor": [1.0 + 0.5 * i for i in range(8)],
        "original_max_position_embeddings": 64,
    },
}


@dataclass(frozen=True)
class Export:
    """A checkpoint and how the builder is to export it."""

    family: str
    precision: str = "int4"
    provider: str = "cpu"
    options: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


EXPORTS = {
    "llama_fp32": Export("Llama", "fp32"),
    "llama_fp16_dml": Export("Llama", "fp16", "dml"),
    "llama_int8": Export("Llama", "int8"),
    "llama_int4": Export("Llama", config={"tie_word_embeddings": False}),
    "llama_int4_webgpu": Export("Llama", "int4", "webgpu", options={"use_webgpu_fp32": "true"}),
    "llama_int4_pruned_head": Export("Llama", options={"prune_lm_head": "true"}),
    "llama_int4_separate_qkv": Export("Llama", options={"fuse_qkv": "false"}),
    "llama_int8_kv": Export("Llama", options={"kv_cache_quant_scheme": "int8_per_channel"}),
    "llama_int4_kv": Export("Llama", options={"kv_cache_quant_scheme": "int4_per_tensor"}),
    "qwen2_int4": Export("Qwen2"),
    "qwen2_int4_window": Export("Qwen2", config=WINDOW | {"use_sliding_window": True, "max_window_layers": 1}),
    "qwen3_int4": Export("Qwen3"),
    "phi3_int4": Export("Phi3", config={"original_max_position_embeddings": 128}),
    "phi3_int4_long_rope": Export("Phi3", config=LONG_ROPE),
    "gemma_int4": Export("Gemma"),
    "gemma2_int4": Export("Gemma2", config=GEMMA_WINDOW),
    "gemma3_int4": Export("Gemma3", config=GEMMA_WINDOW),
    "smollm3_int4": Export("SmolLM3"),
    "phi_int4": Export("Phi", config={"num_attention_heads": 2, "head_dim": 32, "partial_rotary_factor": 0.5}),
}


def main() -> None:
    """Make all folders, or those that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help="which; all if none is named")
    parser.add_argument("--into", type=Path, default=HERE)
    args = parser.parse_args()
    for name in args.names or EXPORTS:
        make(EXPORTS[name], args.into / name)


def make(export: Export, target: Path) -> None:
    """Write a checkpoint and have it exported."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "checkpoint"
        write_checkpoint(export, source)
        shutil.rmtree(target, ignore_errors=True)
        run_builder(export, source, target, Path(scratch))


def write_checkpoint(export: Export, folder: Path) -> None:
    """A model of the family with random weights, and a tokenizer."""
    torch.manual_seed(0)
    model_class = getattr(transformers, f"{export.family}ForCausalLM")
    model = model_class(model_class.config_class(**SIZE | export.config))
    randomize(model, is_gemma=export.family.startswith("Gemma"))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    if export.family == "Gemma3":
        flatten_rope(folder / "config.json")


def randomize(model: torch.nn.Module, is_gemma: bool) -> None:
    """Weights larger than a trainer begins with: what the layers compute then outweighs the last token itself.

    Gemma multiplies its embeddings by the root of their width, so it gets smaller ones.
    """
    embedding_std = 0.03 if is_gemma else 1.0
    for name, weights in model.named_parameters():
        if weights.dim() > 1:
            torch.nn.init.normal_(weights, std=embedding_std if "embed" in name else 2.0 * weights.shape[1] ** -0.5)
        elif name.endswith("bias"):
            torch.nn.init.normal_(weights, std=0.5)


def flatten_rope(path: Path) -> None:
    """Say the parameters of both kinds of layers at the top too, where version 0.18 of the builder looks for them."""
    config = json.loads(path.read_text())
    config["rope_parameters"] |= {"rope_type": "default", "rope_theta": 1e6, "rope_local_base_freq": 1e4}
    path.write_text(json.dumps(config))


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """One token a byte, a few merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("in", "g"), ("e", "r"), ("Ġ", "a"), ("o", "n")]
    texts = [*SPECIAL, *letters, *("".join(pair) for pair in merges)]
    texts += [f"<unused_{i}>" for i in range(SIZE["vocab_size"] - len(texts))]
    core = Tokenizer(models.BPE(vocab={text: i for i, text in enumerate(texts)}, merges=merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def run_builder(export: Export, source: Path, target: Path, scratch: Path) -> None:
    """Call the builder with its command line, but in this process: torch takes longer to import than all exports."""
    options = dict(export.options)
    if "kv_cache_quant_scheme" in options:
        options["kv_cache_scale_file"] = str(write_scales(options["kv_cache_quant_scheme"], scratch / "scales.json"))
    words = ["builder", "-i", source, "-o", target, "-p", export.precision, "-e", export.provider]
    words += ["-c", scratch / "cache"]
    if options:
        words += ["--extra_options", *(f"{key}={value}" for key, value in options.items())]
    sys.argv = [str(word) for word in words]
    runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__")


def write_scales(scheme: str, path: Path) -> Path:
    """Scales wide enough for these weights; channels differ, where each has its own."""
    most = 7 if scheme.startswith("int4") else 127
    channels = SIZE["num_key_value_heads"] * SIZE["head_dim"]
    layer = [(6 + i % 3) / most for i in range(channels)] if scheme.endswith("channel") else 8 / most
    scales = [layer] * SIZE["num_hidden_layers"]
    path.write_text(json.dumps({"scales": {"k_scales": scales, "v_scales": scales}}))
    return path


if __name__ == "__main__":
    main()
