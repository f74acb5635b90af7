"""From a GGUF file to a model folder.

1. Describe the model and its tokenizer; refuse what cannot be computed exactly.
2. Layer by layer: run it in float32 over a text, which gives the scales of an int8 KV cache and the ranges of
   activations, and write its part of the graph with its weights, quantised. A layer is in memory at a time.
3. If asked, run the original and the result over another text, and write down how near it comes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from obeaver.allocator import keeping_freed
from obeaver.errors import ModelError
from obeaver.models.fidelity import Fidelity, compare, folder_logits
from obeaver.models.gguf.activations import FewBitWeights, SmoothWeights
from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.calibration import Calibration
from obeaver.models.gguf.decoder import decoder_graph, decoder_model
from obeaver.models.gguf.description import read_architecture
from obeaver.models.gguf.folder import Provenance, write_genai_config, write_provenance
from obeaver.models.gguf.parameters import MatrixFormats, StoredParameters, num_stored
from obeaver.models.gguf.quantize import BlockFormat, RowFormat
from obeaver.models.gguf.reader import FloatArray, GgufFile
from obeaver.models.gguf.streamed import head_logits
from obeaver.models.gguf.vocabulary import TokenizerFacts, write_tokenizer
from obeaver.models.gguf.weights import HeldWeights, Weights
from obeaver.models.gguf.workers import Workers
from obeaver.models.gguf.writer import DATA_FILE, GRAPH_FILE, TensorWriter
from obeaver.models.progress import Progress
from obeaver.models.record import sha256_of
from obeaver.models.sample_text import CALIBRATION, EVALUATION, sample_ids
from obeaver.threads import default_threads

# By measurement on the default model: rows of int8 against symmetric blocks of 64 decode as fast with one stream, 1.6
# times as fast with 8 or 16, and prefill 1.6 times as fast. Turned they are nearer to the original too: a mean KL of
# 0.004 against 0.008 (int8 cache included), where rows as they are had 0.012.
# Beside searched weights of 4 bits, the projections to attention's values stand in int8: 3 % of the layers' weights,
# which take 5.23 bits each with scales, not 5.13. The mean KL went from 0.087 to 0.074. For its size, the next best
# (the first or the last layer's feed-forward, 0.068 at 5.31 bits) gave half as much; all keys, queries or outputs gave
# far less.
# Where int8 stands in blocks: blocks of 128 would be computed in another order for one row than for several
# (onnxruntime 1.32), so that an answer would depend on who else is served.
_ROWS: Final = RowFormat()
_ROTATED: Final = RowFormat(rotated=True)
_INT8: Final = BlockFormat(bits=8, block_size=64, symmetric=True)
_INT4: Final = BlockFormat(bits=4, block_size=32)
WEIGHTS: Final[Mapping[str, MatrixFormats]] = {
    "int8": MatrixFormats(
        layers=_ROTATED, head=_ROTATED, embedding=_INT8, attention_output=_ROWS, values=_ROTATED, experts=_INT8
    ),
    "int4": MatrixFormats(
        layers=_INT4, head=_INT8, embedding=_INT8, attention_output=_INT4, values=_INT8, experts=_INT4
    ),
    "fp32": MatrixFormats(layers=None, head=None, embedding=None, attention_output=None, values=None, experts=None),
}
KV: Final = ("int8", "float32")
# Fewer tokens to calibrate with spare time and spoil the result: on the default model, 128, 256, 384 and 1,024 had a
# mean KL of 0.032, 0.024, 0.018 and 0.014.
_SAMPLE_TOKENS: Final = 1024
_USUAL_CONTEXT: Final = 131_072


@dataclass(frozen=True, slots=True)
class _Import:
    """One import under way.

    Attributes:
        model: As it is imported.
        whole: The same with all of its context, which calibration may use.
    """

    file: GgufFile
    model: Architecture
    whole: Architecture
    weights: HeldWeights
    formats: MatrixFormats
    quantised_kv: bool
    tokenizer: TokenizerFacts
    target: Path
    progress: Progress


def import_gguf(
    source: Path,
    target: Path,
    *,
    weights: str,
    kv: str,
    name: str,
    progress: Progress,
    context: int | None = None,
    measure: bool = False,
    sha256: str | None = None,
) -> Mapping[str, str]:
    """Write a complete model folder.

    Args:
        source: A GGUF file.
        target: An empty folder.
        weights: `int8`, `int4` or `fp32`.
        kv: What the KV cache holds: `int8` or `float32`.
        name: The model's name, for the folder's record.
        progress: Told how far it is.
        context: Tokens that the model is to be able to use; None is as many as it can, and 131,072 at most.
        measure: Whether to find out how near the result is to the file's own weights.
        sha256: The file's hash, where it is known.

    Returns:
        The SHA-256 of files that were hashed while they were written, by their names.

    Raises:
        ModelError: The file is broken or not supported, or the folder cannot be written; says why.
    """
    if weights not in WEIGHTS or kv not in KV:
        raise ModelError(f"there is no import with weights {weights!r} and a KV cache of {kv!r}")
    file = GgufFile(source)
    whole = read_architecture(file)
    model = _within_usual_context(whole, progress) if context is None else read_architecture(file, context)
    try:
        with keeping_freed(), Workers(default_threads()) as workers:
            held, facts = HeldWeights(file, model, workers), _tokenizer(file, model, target)
            job = _Import(file, model, whole, held, WEIGHTS[weights], kv == "int8", facts, target, progress)
            hashes, fidelity = _import(job, measure=measure)
        write_genai_config(target, model, facts)
        write_provenance(target, _provenance(job, sha256, weights, kv, name, fidelity))
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}") from error
    return hashes


def _import(job: _Import, *, measure: bool) -> tuple[Mapping[str, str], Fidelity | None]:
    is_exact = job.formats.layers is None and not job.quantised_kv
    evaluation = _sample(job, EVALUATION, job.model) if measure and not is_exact else []
    calibration = None if is_exact else Calibration(job.weights, _calibration_texts(job), evaluation)
    hashes = {DATA_FILE: _write_graph(job, calibration)}
    if calibration is None or not evaluation:
        return hashes, None
    return hashes, _measure(job, calibration.evaluated(), evaluation)


def _within_usual_context(model: Architecture, progress: Progress) -> Architecture:
    """The model with tables for no more positions than is usual: those for a million tokens take half a gigabyte."""
    if model.context_length <= _USUAL_CONTEXT:
        return model
    progress.note(
        f"imported for {_USUAL_CONTEXT:,} tokens; the model can use {model.context_length:,}: import it with --context "
        f"{model.context_length} to have them all"
    )
    return replace(model, context_length=_USUAL_CONTEXT)


def _tokenizer(file: GgufFile, model: Architecture, target: Path) -> TokenizerFacts:
    facts = write_tokenizer(file.metadata, target)
    if facts.vocab_size > model.vocab_size:
        raise ModelError(f"{file.path}: it has {facts.vocab_size} tokens and embeddings for {model.vocab_size} only")
    return facts


def _sample(job: _Import, text: Traversable, model: Architecture) -> list[int]:
    return sample_ids(job.target / "tokenizer.json", text, limit=min(_SAMPLE_TOKENS, model.context_length))


def _calibration_texts(job: _Import) -> list[list[int]]:
    """Two halves, one behind the token that begins a text: attention rests on it, and its keys are unlike others."""
    ids = _sample(job, CALIBRATION, job.whole)
    middle = len(ids) // 2
    begin = [] if job.tokenizer.bos_id is None else [job.tokenizer.bos_id]
    return [begin + ids[: middle - len(begin)], ids[middle:]]


def _write_graph(job: _Import, calibration: Calibration | None) -> str:
    """The SHA-256 of the data file."""
    formats, weights = job.formats, _to_store(job, calibration)
    scales_of = calibration.scales_of if calibration is not None and job.quantised_kv else None
    total = num_stored(job.weights, formats)
    with (
        job.progress.stage("quantise" if formats.layers else "convert", total, "weight") as stage,
        TensorWriter(job.target) as writer,
    ):
        parameters = StoredParameters(weights, writer, formats, tied_head=job.model.tied_head, advance=stage.advance)
        nodes = decoder_graph(job.model, parameters, scales_of)
    job.weights.let_go()
    proto = decoder_model(job.model, nodes, writer.tensors, quantised_kv=job.quantised_kv)
    (job.target / GRAPH_FILE).write_bytes(proto.SerializeToString())
    return writer.sha256


def _to_store(job: _Import, calibration: Calibration | None) -> Weights:
    """The weights, evened out where rounding asks for it."""
    if calibration is None or not (job.formats.has_rows or job.formats.has_few_bits):
        return job.weights
    even = FewBitWeights if job.formats.has_few_bits else SmoothWeights
    return even(job.weights, calibration.activations_of)


def _measure(job: _Import, hidden: FloatArray, evaluation: Sequence[int]) -> Fidelity:
    with job.progress.stage("measure", len(evaluation), "token") as stage:
        original = head_logits(job.model, job.weights, hidden)
        found = folder_logits(job.target / GRAPH_FILE, evaluation)
        return compare(original, _counted(found, stage.advance), evaluation)


def _counted(chunks: Iterator[FloatArray], advance: Callable[[int], None]) -> Iterator[FloatArray]:
    for chunk in chunks:
        yield chunk
        advance(len(chunk))


def _provenance(
    job: _Import, sha256: str | None, weights: str, kv: str, name: str, fidelity: Fidelity | None
) -> Provenance:
    licence = job.file.metadata.get("general.license")
    return Provenance(
        name=name,
        source_file=job.file.path.name,
        source_sha256=sha256 or sha256_of(job.file.path),
        source_types=Counter(info.type.name for info in job.file.tensors.values()),
        weights=weights,
        kv=kv,
        formats=WEIGHTS[weights],
        fidelity=fidelity,
        licence=licence if isinstance(licence, str) else None,
    )
