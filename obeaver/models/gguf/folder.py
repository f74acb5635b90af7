"""The small files of a model folder: what onnxruntime-genai needs to load it, and what obeaver knows about it."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from obeaver import __version__
from obeaver.models.fidelity import Fidelity
from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.parameters import MatrixFormats
from obeaver.models.gguf.vocabulary import TokenizerFacts
from obeaver.models.gguf.writer import GRAPH_FILE

_FORMAT: Final = 1
_CACHE_INPUTS: Final = {f"past_{part}_names": f"past_key_values.%d.{part}" for part in ("key", "value")}
_CACHE_OUTPUTS: Final = {f"present_{part}_names": f"present.%d.{part}" for part in ("key", "value")}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a folder comes from and how it was made.

    Attributes:
        name: The model's name in the store.
        source_file: Name of the GGUF file.
        source_sha256: Its hash.
        source_types: How many of its tensors are stored in which type.
        weights: `int8`, `int4` or `fp32`.
        kv: `int8` or `float32`.
        formats: Formats of the matrices.
        fidelity: What was measured; None where the weights are the source's own.
        licence: As the file's metadata name it.
    """

    name: str
    source_file: str
    source_sha256: str
    source_types: Mapping[str, int]
    weights: str
    kv: str
    formats: MatrixFormats
    fidelity: Fidelity | None
    licence: str | None


def write_genai_config(folder: Path, model: Architecture, tokenizer: TokenizerFacts) -> None:
    """Write genai_config.json."""
    bos, pad = tokenizer.bos_id, tokenizer.pad_id
    end = tokenizer.eos_ids[0] if tokenizer.eos_ids else -1
    _write(
        folder / "genai_config.json",
        {
            "model": {
                "type": model.name,
                "vocab_size": model.vocab_size,
                "context_length": model.context_length,
                "bos_token_id": end if bos is None else bos,
                "eos_token_id": list(tokenizer.eos_ids),
                "pad_token_id": end if pad is None else pad,
                "decoder": _decoder(model),
            },
            "search": {
                "max_length": model.context_length,
                "do_sample": False,
                "past_present_share_buffer": True,
            },
        },
    )


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Write obeaver.json, which makes the folder complete."""
    formats = asdict(provenance.formats)
    _write(
        folder / "obeaver.json",
        {
            "format": _FORMAT,
            "name": provenance.name,
            "importer": f"obeaver {__version__}",
            "created": int(time.time()),
            "source": {
                "kind": "gguf",
                "file": provenance.source_file,
                "sha256": provenance.source_sha256,
                "tensor_types": dict(provenance.source_types),
            },
            "weights": provenance.weights,
            "matrices": {part: form for part, form in formats.items() if form is not None},
            "kv": provenance.kv,
            "licence": provenance.licence,
            "fidelity": None if provenance.fidelity is None else asdict(provenance.fidelity),
        },
    )


def _decoder(model: Architecture) -> dict[str, Any]:
    return {
        "filename": GRAPH_FILE,
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
        "hidden_size": model.hidden_size,
        "head_size": model.head_width,
        "num_attention_heads": model.num_heads,
        "num_key_value_heads": model.num_kv_heads,
        "num_hidden_layers": model.num_layers,
        "inputs": {"input_ids": "input_ids", "attention_mask": "attention_mask", **_CACHE_INPUTS},
        "outputs": {"logits": "logits", **_CACHE_OUTPUTS},
    }


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
