"""How near a model's logits are to those of its float32 original.

Perplexity alone is a poor judge: errors that favour the reference text cancel those that do not. The mean
Kullback-Leibler divergence from the original's distribution counts every change as one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from obeaver.processor import EXACT_BYTE_PRODUCTS, byte_products_overflow

FloatArray = npt.NDArray[np.float32]

# Positions whose logits are in memory at once.
CHUNK: Final = 128
_ERRORS_ONLY: Final = 3


@dataclass(frozen=True, slots=True)
class Fidelity:
    """A model against its original, over a text.

    Attributes:
        num_tokens: Of the text.
        perplexity: The model's.
        reference_perplexity: The original's.
        mean_kl: Mean over positions of KL(original || model), in nats.
        same_top1: Share of positions at which both have the same likeliest token.
    """

    num_tokens: int
    perplexity: float
    reference_perplexity: float
    mean_kl: float
    same_top1: float


@dataclass(slots=True)
class _Sums:
    positions: int = 0
    predicted: int = 0
    reference_loss: float = 0.0
    loss: float = 0.0
    divergence: float = 0.0
    same: int = 0


def compare(reference: Iterable[FloatArray], model: Iterable[FloatArray], token_ids: Sequence[int]) -> Fidelity:
    """Compare two runs over one text.

    Args:
        reference: The original's logits, in chunks [positions, vocab_size] that cover the text.
        model: The model's, in the same chunks.
        token_ids: The text, at least two tokens.
    """
    sums = _Sums()
    text = np.asarray(token_ids, np.int64)
    for expected, found in zip(reference, model, strict=True):
        _add(sums, expected, found, text[sums.positions + 1 : sums.positions + len(expected) + 1])
    return Fidelity(
        num_tokens=sums.positions,
        perplexity=float(np.exp(sums.loss / sums.predicted)),
        reference_perplexity=float(np.exp(sums.reference_loss / sums.predicted)),
        mean_kl=sums.divergence / sums.positions,
        same_top1=sums.same / sums.positions,
    )


def folder_logits(graph: Path, token_ids: Sequence[int], *, threads: int = 0) -> Iterator[FloatArray]:
    """Logits of a decoder graph over a text, in chunks [positions, vocab_size].

    Args:
        graph: Its ONNX file, with the inputs and outputs that onnxruntime-genai's exports have.
        token_ids: The text.
        threads: For onnxruntime; 0 lets it choose.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS_ONLY
    if byte_products_overflow():
        options.add_session_config_entry(EXACT_BYTE_PRODUCTS, "1")
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    cache = _empty_cache(session)
    names = ["logits", *(name.replace("past_key_values", "present") for name in cache)]
    for start in range(0, len(token_ids), CHUNK):
        chunk = np.array([token_ids[start : start + CHUNK]], np.int64)
        mask = np.ones((1, start + chunk.shape[1]), np.int64)
        logits, *present = session.run(names, {"input_ids": chunk, "attention_mask": mask, **cache})
        cache = dict(zip(cache, present, strict=True))
        yield logits[0]


def _empty_cache(session: ort.InferenceSession) -> dict[str, npt.NDArray[np.generic]]:
    return {
        value.name: np.zeros((1, value.shape[1], 0, value.shape[3]), np.int8 if "int8" in value.type else np.float32)
        for value in session.get_inputs()
        if value.name.startswith("past_key_values.")
    }


def _add(sums: _Sums, reference: FloatArray, model: FloatArray, following: npt.NDArray[np.int64]) -> None:
    expected, found = _log_softmax(reference), _log_softmax(model)
    places = np.arange(len(following))
    sums.positions += len(expected)
    sums.predicted += len(following)
    sums.reference_loss -= float(expected[places, following].sum())
    sums.loss -= float(found[places, following].sum())
    sums.divergence += float((np.exp(expected) * (expected - found)).sum(dtype=np.float64))
    sums.same += int((expected.argmax(axis=-1) == found.argmax(axis=-1)).sum())


def _log_softmax(logits: FloatArray) -> FloatArray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=-1, keepdims=True, dtype=np.float64)).astype(np.float32)
    result: FloatArray = shifted - normaliser
    return result
