"""Folders as transformers.js has them, around tiny decoders: files, inputs and outputs are named as optimum does it."""

import json
from pathlib import Path
from typing import Any

import onnx
from support.small_tokenizers import byte_level_metadata
from support.tiny_decoder import TinyDecoder

from obeaver.models.gguf.vocabulary import write_tokenizer

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


def their_config(decoder: TinyDecoder, **changes: Any) -> dict[str, Any]:
    """`config.json` of the decoder."""
    sizes = {
        "vocab_size": decoder.vocab,
        "hidden_size": decoder.hidden,
        "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.kv_heads,
        "num_hidden_layers": decoder.layers,
        "max_position_embeddings": decoder.context,
    }
    names = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    return {**names, **sizes, "bos_token_id": 1, "eos_token_id": 2, "transformers.js_config": {}} | changes


def write_export(folder: Path, decoder: TinyDecoder, *graphs: str, data: bool = False, **changes: Any) -> Path:
    """Write a folder.

    Args:
        folder: Made if missing.
        decoder: What its graphs are.
        graphs: Names of files in `onnx/`.
        data: Put the weights into a file beside each graph.
        changes: In `config.json`.
    """
    (folder / "onnx").mkdir(parents=True)
    made = folder / "made"
    made.mkdir()
    model = onnx.load(decoder.write(made))
    for path in (*made.iterdir(), made):
        path.rmdir() if path.is_dir() else path.unlink()
    for name in graphs:
        beside: dict[str, Any] = (
            {"save_as_external_data": True, "location": f"{name}_data", "size_threshold": 1024} if data else {}
        )
        onnx.save(model, folder / "onnx" / name, **beside)
    write_tokenizer(byte_level_metadata(), folder)
    (folder / "chat_template.jinja").unlink()
    (folder / "config.json").write_text(json.dumps(their_config(decoder, **changes)))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 2], "pad_token_id": 0}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    return folder
