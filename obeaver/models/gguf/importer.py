"""From a GGUF file to a model folder.

1. Describe the model and its tokenizer; refuse what cannot be computed exactly.
2. Run it in float32 over two texts, layer by layer: the first gives the scales of an int8 KV cache and the ranges of
   activations, the second the original's answers.
3. Write the graph and its weights, quantised on the way.
4. Run that over the second text, and write down how near it comes.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from obeaver.errors import ModelError
from obeaver.models.fidelity import Fidelity, compare, folder_logits
from obeaver.models.gguf.activations import ActivationRanges, FewBitWeights, SmoothWeights
from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.decoder import decoder_graph, decoder_model
from obeaver.models.gguf.description import read_architecture
from obeaver.models.gguf.folder import Provenance, write_genai_config, write_provenance
from obeaver.models.gguf.graph import KvScales
from obeaver.models.gguf.kv_scales import KvRanges
from obeaver.models.gguf.parameters import MatrixFormats, StoredParameters
from obeaver.models.gguf.quantize import BlockFormat, RowFormat
from obeaver.models.gguf.reader import FloatArray, GgufFile
from obeaver.models.gguf.streamed import head_logits, run_layers
from obeaver.models.gguf.vocabulary import TokenizerFacts, write_tokenizer
from obeaver.models.gguf.weights import Weights
from obeaver.models.gguf.writer import GRAPH_FILE, TensorWriter
from obeaver.models.progress import Progress
from obeaver.models.sample_text import CALIBRATION, EVALUATION, sample_ids

# By measurement on the default model: rows of int8 against symmetric blocks of 64 decode as fast with one stream, 1.6
# times as fast with 8 or 16, and prefill 1.6 times as fast, at a mean KL of 0.014 against 0.008 (int8 cache included).
# Of all matrices, rows cost most in the first layer's down projection, whose input has a few very large values: by
# itself 0.5 % of perplexity.
# Beside weights of 4 bits, the projections to attention's values stand in int8: 3 % of the layers' weights, which take
# 5.23 bits each with scales, not 5.13. The mean KL went from 0.087 to 0.074. For its size, the next best (the first or
# the last layer's feed-forward, 0.068 at 5.31 bits) gave half as much; all keys, queries or outputs gave far less.
# Where int8 stands in blocks: blocks of 128 would be computed in another order for one row than for several
# (onnxruntime 1.32), so that an answer would depend on who else is served.
_ROWS: Final = RowFormat()
_INT8: Final = BlockFormat(bits=8, block_size=64, symmetric=True)
_INT4: Final = BlockFormat(bits=4, block_size=32)
WEIGHTS: Final[Mapping[str, MatrixFormats]] = {
    "int8": MatrixFormats(layers=_ROWS, head=_ROWS, embedding=_INT8, first_down=_INT8, values=_ROWS, experts=_INT8),
    "int4": MatrixFormats(layers=_INT4, head=_INT8, embedding=_INT8, first_down=_INT4, values=_INT8, experts=_INT4),
    "fp32": MatrixFormats(layers=None, head=None, embedding=None, first_down=None, values=None, experts=None),
}
KV: Final = ("int8", "float32")
_SAMPLE_TOKENS: Final = 1024


@dataclass(frozen=True, slots=True)
class _Import:
    """One import under way."""

    file: GgufFile
    model: Architecture
    weights: Weights
    tokenizer: TokenizerFacts
    target: Path
    progress: Progress


@dataclass(frozen=True, slots=True)
class _Original:
    """What running the model in float32 gave.

    Attributes:
        hidden: The evaluation text's hidden states [1, tokens, hidden_size].
        kv_scales: For an int8 cache; empty for another.
        activations: For matrices in rows or of few bits; None for others.
    """

    hidden: FloatArray
    kv_scales: Sequence[KvScales]
    activations: ActivationRanges | None


def import_gguf(source: Path, target: Path, *, weights: str, kv: str, name: str, progress: Progress) -> None:
    """Write a complete model folder.

    Args:
        source: A GGUF file.
        target: An empty folder.
        weights: `int8`, `int4` or `fp32`.
        kv: What the KV cache holds: `int8` or `float32`.
        name: The model's name, for the folder's record.
        progress: Told how far it is.

    Raises:
        ModelError: The file is broken or not supported, or the folder cannot be written; says why.
    """
    if weights not in WEIGHTS or kv not in KV:
        raise ModelError(f"there is no import with weights {weights!r} and a KV cache of {kv!r}")
    file = GgufFile(source)
    model = read_architecture(file)
    try:
        _import(
            _Import(file, model, Weights(file, model), _tokenizer(file, model, target), target, progress),
            weights,
            kv,
            name,
        )
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}") from error


def _import(job: _Import, weights: str, kv: str, name: str) -> None:
    formats = WEIGHTS[weights]
    exact = weights == "fp32" and kv == "float32"
    evaluation = [] if exact else _sample(job, EVALUATION)
    original = None if exact else _run_original(job, evaluation, formats, kv)
    _write_graph(job, formats, original)
    fidelity = None if original is None else _measure(job, original.hidden, evaluation)
    write_genai_config(job.target, job.model, job.tokenizer)
    write_provenance(job.target, _provenance(job, weights, kv, name, fidelity))


def _tokenizer(file: GgufFile, model: Architecture, target: Path) -> TokenizerFacts:
    facts = write_tokenizer(file.metadata, target)
    if facts.vocab_size > model.vocab_size:
        raise ModelError(f"{file.path}: it has {facts.vocab_size} tokens and embeddings for {model.vocab_size} only")
    return facts


def _sample(job: _Import, text: Traversable) -> list[int]:
    return sample_ids(job.target / "tokenizer.json", text, limit=min(_SAMPLE_TOKENS, job.model.context_length))


def _run_original(job: _Import, evaluation: Sequence[int], formats: MatrixFormats, kv: str) -> _Original:
    needs_activations = formats.has_rows or formats.has_few_bits
    calibration = _calibration_texts(job) if kv == "int8" or needs_activations else []
    ranges, activations = KvRanges(job.model), ActivationRanges()

    def on_keys_and_values(text: int, layer: int, keys: FloatArray, values: FloatArray) -> None:
        if text > 0:
            ranges.add(layer, keys, values)

    def on_inputs(text: int, matrix: str, inputs: FloatArray) -> None:
        if text > 0:
            activations.add(matrix, inputs)

    with job.progress.stage("calibrate", job.model.num_layers, "layer") as stage:
        hidden = run_layers(
            job.model,
            job.weights,
            [evaluation, *calibration],
            on_keys_and_values=on_keys_and_values,
            on_inputs=on_inputs if needs_activations else None,
            advance=stage.advance,
        )
    return _Original(hidden[0], ranges.scales() if kv == "int8" else (), activations if needs_activations else None)


def _calibration_texts(job: _Import) -> list[list[int]]:
    """Two halves, one behind the token that begins a text: attention rests on it, and its keys are unlike others."""
    ids = _sample(job, CALIBRATION)
    middle = len(ids) // 2
    begin = [] if job.tokenizer.bos_id is None else [job.tokenizer.bos_id]
    return [begin + ids[: middle - len(begin)], ids[middle:]]


def _write_graph(job: _Import, formats: MatrixFormats, original: _Original | None) -> None:
    activations = None if original is None else original.activations
    scales = () if original is None else original.kv_scales
    weights = job.weights
    if activations is not None:
        weights = (FewBitWeights if formats.has_few_bits else SmoothWeights)(weights, activations)
    title = "quantise" if formats.layers else "convert"
    with (
        job.progress.stage(title, job.weights.num_matrix_elements, "weight") as stage,
        TensorWriter(job.target) as writer,
    ):
        parameters = StoredParameters(weights, writer, formats, tied_head=job.model.tied_head, advance=stage.advance)
        nodes = decoder_graph(job.model, parameters, scales)
    proto = decoder_model(job.model, nodes, writer.tensors, quantised_kv=bool(scales))
    (job.target / GRAPH_FILE).write_bytes(proto.SerializeToString())


def _measure(job: _Import, hidden: FloatArray, evaluation: Sequence[int]) -> Fidelity:
    with job.progress.stage("measure", len(evaluation), "token") as stage:
        original = head_logits(job.model, job.weights, hidden)
        found = folder_logits(job.target / GRAPH_FILE, evaluation)
        return compare(original, _counted(found, stage.advance), evaluation)


def _counted(chunks: Iterator[FloatArray], advance: Callable[[int], None]) -> Iterator[FloatArray]:
    for chunk in chunks:
        yield chunk
        advance(len(chunk))


def _provenance(job: _Import, weights: str, kv: str, name: str, fidelity: Fidelity | None) -> Provenance:
    licence = job.file.metadata.get("general.license")
    with job.file.path.open("rb") as raw:
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
    return Provenance(
        name=name,
        source_file=job.file.path.name,
        source_sha256=digest,
        source_types=Counter(info.type.name for info in job.file.tensors.values()),
        weights=weights,
        kv=kv,
        formats=WEIGHTS[weights],
        fidelity=fidelity,
        licence=licence if isinstance(licence, str) else None,
    )
