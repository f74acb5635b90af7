"""From a GGUF file, or a folder with a decoder's safetensors, to a folder that `serve-embed` serves.

The result has the layout of sentence-transformers: `config.json`, a tokenizer, `modules.json` with the steps behind the
graph, and the model's prompts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from obeaver.errors import ModelError
from obeaver.models.embedder.checkpoint import open_checkpoint
from obeaver.models.embedder.graph import EmbedderGraph
from obeaver.models.embedder.kind import kind_of, known_file, pooling_of
from obeaver.models.embedder.steps import Step, write_steps
from obeaver.models.embedder.word_tokenizers import WORD_MODELS, word_tokenizer
from obeaver.models.encoder.importer import copy_files, write_provenance
from obeaver.models.encoder.known import KnownModel, known_model
from obeaver.models.encoder.layout import CONFIG, PROMPTS, RERANKER, TOKENIZER, read_encoder_facts
from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.description import read_architecture
from obeaver.models.gguf.parameters import MatrixFormats, StoredParameters
from obeaver.models.gguf.quantize import BlockFormat
from obeaver.models.gguf.reader import FloatArray, GgufFile, TensorFile
from obeaver.models.gguf.tensors import POOLED
from obeaver.models.gguf.vocabulary import framed, write_tokenizer
from obeaver.models.gguf.weights import EMBEDDING as TOKEN_TABLE
from obeaver.models.gguf.weights import Weights
from obeaver.models.gguf.writer import GRAPH_FILE, TensorWriter
from obeaver.models.progress import Progress
from obeaver.utf8 import read_utf8

# Blocks, whose activations are rounded block by block: no run over sample texts is needed to even out large ones.
_INT8: Final = BlockFormat(bits=8, block_size=64, symmetric=True)
WEIGHTS: Final[Mapping[str, MatrixFormats]] = {
    "fp32": MatrixFormats(layers=None, head=None, embedding=None, attention_output=None, values=None, experts=None),
    "int8": MatrixFormats(
        layers=_INT8, head=_INT8, embedding=_INT8, attention_output=_INT8, values=_INT8, experts=_INT8
    ),
}
_YES, _NO = "yes", "no"
_ACTIVATIONS: Final = {"cls": "torch.nn.modules.activation.Tanh"}


def import_embedder(source: Path, target: Path, *, weights: str, name: str, progress: Progress) -> None:
    """Write a complete model folder.

    Args:
        source: A GGUF file, or a folder with the safetensors of a decoder.
        target: An empty folder.
        weights: `fp32` or `int8`.
        name: The model's name, for the folder's record.
        progress: Told how far it is.

    Raises:
        ModelError: The source is broken or of a kind that is not supported; says why.
    """
    if weights not in WEIGHTS:
        raise ModelError(f"weights of an embedding model can be {', '.join(WEIGHTS)}, not {weights!r}")
    try:
        model = _from_folder(source, target, name) if source.is_dir() else _from_file(source, target, progress)
        _write_graph(model, target, weights, progress)
        write_provenance(target, model.kind, weights, name, model.more)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class _Source:
    """What is imported.

    Attributes:
        file: Its tensors.
        model: Its architecture.
        kind: `embedding` or `reranker`.
        more: What the record says beside the usual.
    """

    file: TensorFile
    model: Architecture
    kind: str
    more: Mapping[str, Any]


def _from_file(path: Path, target: Path, progress: Progress) -> _Source:
    file = GgufFile(path)
    model, known, kind = read_architecture(file), known_file(file), kind_of(file)
    _write_tokenizer(file, target, known, kind)
    classes = ["ForSequenceClassification"] if kind == RERANKER else []
    config = {
        "model_type": model.name,
        "architectures": classes,
        "vocab_size": model.vocab_size,
        "hidden_size": model.hidden_size,
        "max_position_embeddings": model.context_length,
    }
    _write(target / CONFIG, config)
    _write_prompts(target, known)
    template = file.metadata.get("tokenizer.chat_template.rerank") or (known.pair if known is not None else None)
    steps = _steps(file, None if template is None else target)
    if known is not None and known.dense and not steps:
        progress.note(
            f"{path.name} lacks the dense layers of its model: its vectors are others than the published ones"
        )
    write_steps(target, pooling_of(file), model.hidden_size, steps)
    return _Source(file, model, kind, _record(file, template if kind == RERANKER else None))


def _record(file: TensorFile, template: object) -> Mapping[str, Any]:
    licence = file.metadata.get("general.license")
    more = {"licence": licence} if isinstance(licence, str) else {}
    return more | ({"pair": template} if isinstance(template, str) else {})


def _from_folder(folder: Path, target: Path, name: str) -> _Source:
    if not (folder / TOKENIZER).is_file():
        raise ModelError(f"{folder} is no complete model folder: {TOKENIZER} is missing")
    config = json.loads(read_utf8(folder / CONFIG))
    file = open_checkpoint(folder, config)
    model, facts = read_architecture(file), read_encoder_facts(folder)
    copy_files(folder, target)
    known = known_model(name, folder.resolve().name, config.get("_name_or_path"))
    _write_prompts(target, known)
    if known is not None and known.ending is not None:
        _ensure_ending(target / TOKENIZER, known.ending)
    if known is None or known.pair is None:
        return _Source(file, model, facts.kind, {})
    write_steps(target, known.pooling, model.hidden_size, _steps(file, target))
    return _Source(file, model, RERANKER, {"pair": known.pair})


def _write_tokenizer(file: GgufFile, target: Path, known: KnownModel | None, kind: str) -> None:
    if file.metadata.get("tokenizer.ggml.model") in WORD_MODELS:
        _write(target / TOKENIZER, word_tokenizer(file.metadata))
        return
    end = None
    if kind != RERANKER and file.metadata.get("tokenizer.ggml.add_eos_token") is True:
        end = _named_token(file, "eos")
    elif known is not None:
        end = known.ending
    write_tokenizer(file.metadata, target, end)
    (target / "chat_template.jinja").unlink(missing_ok=True)


def _write_prompts(target: Path, known: KnownModel | None) -> None:
    """Those that are known, where the publisher's are not there."""
    if known is not None and known.prompts and not (target / PROMPTS).exists():
        _write(target / PROMPTS, {"prompts": dict(known.prompts), "default_prompt_name": None})


def _ensure_ending(tokenizer: Path, ending: str) -> None:
    """Have the token behind each text; most publishers' files do it themselves."""
    data = json.loads(read_utf8(tokenizer))
    if f'"{ending}"' in json.dumps(data.get("post_processor")):
        return
    ids = [token["id"] for token in data.get("added_tokens", []) if token.get("content") == ending]
    if not ids:
        raise ModelError(f"{tokenizer} has no token {ending}, which has to stand behind each text")
    data["post_processor"] = framed(data.get("post_processor"), None, (ending, ids[0]))
    tokenizer.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


def _named_token(file: GgufFile, name: str) -> str | None:
    tokens, index = (file.metadata.get(f"tokenizer.ggml.{key}") for key in ("tokens", f"{name}_token_id"))
    is_token = isinstance(tokens, list) and isinstance(index, int) and 0 <= index < len(tokens)
    return str(tokens[index]) if isinstance(tokens, list) and isinstance(index, int) and is_token else None


def _steps(file: TensorFile, yes_no: Path | None) -> list[Step]:
    """Layers behind pooling.

    Args:
        file: May have them.
        yes_no: A folder with the tokenizer, where the model scores by the words `yes` and `no`.
    """
    steps = []
    for name in POOLED:
        if f"{name}.weight" in file.tensors:
            bias = file.read(f"{name}.bias") if f"{name}.bias" in file.tensors else None
            steps.append(Step(_scores(file, name), bias, _ACTIVATIONS.get(name, "torch.nn.modules.linear.Identity")))
    if not steps and yes_no is not None:
        ids = [_id_of(yes_no / TOKENIZER, word) for word in (_NO, _YES)]
        rows = [file.read(f"{_head(file)}.weight", index, index + 1) for index in ids]
        steps.append(Step(np.concatenate(rows), None))
    return steps


def _scores(file: TensorFile, name: str) -> FloatArray:
    """A layer's weight; where it scores by words, `no` first and `yes` second."""
    weight = file.read(f"{name}.weight")
    family = str(file.metadata.get("general.architecture"))
    labels = file.metadata.get(f"{family}.classifier.output_labels")
    return weight[::-1].copy() if name == "cls.output" and labels == [_YES, _NO] else weight


def _head(file: TensorFile) -> str:
    return "output" if "output.weight" in file.tensors else TOKEN_TABLE


def _id_of(tokenizer: Path, word: str) -> int:
    vocabulary = json.loads(read_utf8(tokenizer)).get("model", {}).get("vocab", {})
    if not isinstance(vocabulary, dict) or not isinstance(vocabulary.get(word), int):
        raise ModelError(f"{tokenizer} has no token {word!r}, by which the model scores")
    return int(vocabulary[word])


def _write_graph(source: _Source, target: Path, weights: str, progress: Progress) -> None:
    tensors = Weights(source.file, source.model)
    with (
        progress.stage("convert", tensors.num_matrix_elements, "weight") as stage,
        TensorWriter(target) as writer,
    ):
        parameters = StoredParameters(tensors, writer, WEIGHTS[weights], tied_head=False, advance=stage.advance)
        graph = EmbedderGraph(source.model, tensors, writer, parameters).build()
    (target / GRAPH_FILE).write_bytes(graph.SerializeToString())


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
