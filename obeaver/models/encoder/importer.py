"""From a folder with safetensors to one with an ONNX graph, in the same layout."""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from obeaver import __version__
from obeaver.errors import ModelError
from obeaver.models.encoder.architecture import EncoderArchitecture, read_architecture
from obeaver.models.encoder.graph import EncoderGraph, Weights
from obeaver.models.encoder.layout import CONFIG, PROVENANCE, TOKENIZER, copied_files, read_encoder_facts
from obeaver.models.encoder.linear import MATRICES
from obeaver.models.encoder.safetensors import Tensors, weight_files
from obeaver.models.gguf.writer import GRAPH_FILE, TensorWriter
from obeaver.models.progress import Progress
from obeaver.utf8 import read_utf8


def import_encoder(source: Path, target: Path, *, weights: str, name: str, progress: Progress) -> None:
    """Write a complete model folder.

    Args:
        source: A folder with safetensors, in any layout that `read_encoder_facts` knows.
        target: An empty folder.
        weights: `fp32` or `int8`.
        name: The model's name, for the folder's record.
        progress: Told how far it is.

    Raises:
        ModelError: The folder is broken or of a kind that is not supported; says why.
    """
    if weights not in MATRICES:
        raise ModelError(f"weights of an encoder can be {', '.join(MATRICES)}, not {weights!r}")
    if not (source / TOKENIZER).is_file():
        raise ModelError(f"{source} is no complete model folder: {TOKENIZER} is missing")
    facts = read_encoder_facts(source)
    config = json.loads(read_utf8(source / CONFIG))
    try:
        with progress.stage("convert", facts.size_bytes) as stage:
            _write_graph(read_architecture(config), source, target, weights)
            copy_files(source, target)
            stage.advance(facts.size_bytes)
        write_provenance(target, facts.kind, weights, name)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}") from error


def _write_graph(model: EncoderArchitecture, source: Path, target: Path, weights: str) -> None:
    tensors = Tensors(*weight_files(source))
    with TensorWriter(target) as writer:
        graph = EncoderGraph(model, Weights(tensors, model.names.prefix), writer, MATRICES[weights](writer)).build()
    (target / GRAPH_FILE).write_bytes(graph.SerializeToString())


def copy_files(source: Path, target: Path) -> None:
    """Copy what goes into an imported folder as it is."""
    for path in copied_files(source):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def write_provenance(
    target: Path, kind: str, weights: str, name: str, more: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Write obeaver.json, which makes the folder complete.

    Args:
        target: The folder.
        kind: `embedding` or `reranker`.
        weights: Their format.
        name: Of the model.
        more: What else the record says.
    """
    facts = {
        **more,
        "name": name,
        "kind": kind,
        "weights": weights,
        "created": int(time.time()),
        "importer": f"obeaver {__version__}",
    }
    (target / PROVENANCE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
