"""One encoder graph on onnxruntime: texts as token ids in, vectors or scores out. Synchronous; owned by one thread.

Rows are padded at their end, for every kind of model. Encoders mask the padding; decoder-type embedders are causal, so
what stands behind a row's last token cannot reach it, and GroupQueryAttention takes no other layout. (Their tokenizers
pad at the beginning, which puts the last token of all rows into one column; here each row's own last column is used.)
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from obeaver.engine.encoding.batches import BatchLimits, TokenisedText
from obeaver.engine.encoding.pooling import FloatArray, IntArray, VectorRecipe
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.engine.sessions.ort_session import open_session
from obeaver.engine.sessions.placement import Placement
from obeaver.engine.sessions.providers import CPU, ProviderChoice, choose_provider
from obeaver.engine.sessions.telemetry import TELEMETRY_OFF
from obeaver.errors import ProviderError
from obeaver.onnx_outline import read_nodes
from obeaver.threads import default_threads

os.environ.update(TELEMETRY_OFF)
import onnxruntime as ort  # reads the environment when it is loaded

PREFERRED_OUTPUTS: Final = ("sentence_embedding", "last_hidden_state", "token_embeddings")
_TEXT_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_PAST: Final = "past_key_values."
_PRESENT: Final = "present."
_BY_TOKEN: Final = 3
_TYPES: Final = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
}
# One scale for a whole activation tensor: a text's numbers then depend on what stands beside it.
_SHARED_SCALE_OPS: Final = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "QAttention"})
MAX_BATCH_TOKENS: Final = 512
"""Above some hundred tokens a core's arithmetic is saturated; a larger batch only makes everybody wait longer."""
MAX_ROWS: Final = 64
PIECE_TOKENS: Final = 512
"""A decoder reads a longer text in pieces of so many tokens: attention's scores of a text of 32,000 tokens in one piece
would take 60 GB."""

# Errors come back as exceptions with the same text; on stderr they would stand twice.
_FATAL_ONLY: Final = 4


@dataclass(frozen=True, slots=True)
class _Input:
    """An input of the graph beside the text's own: empty past, or a switch."""

    name: str
    dtype: npt.DTypeLike
    shape: tuple[int | None, ...]

    def empty(self, num_rows: int) -> npt.NDArray[Any]:
        """Zeros; the first dimension is the batch, other unknown ones are empty."""
        shape = [num_rows if i == 0 and size is None else size or 0 for i, size in enumerate(self.shape)]
        return np.zeros(shape, self.dtype)


class EmbeddingSession:
    """A loaded graph; `open_embedding_session` and `open_scoring_session` make it.

    Attributes:
        label: What runs the model, for people.
        placement: Which execution provider computes, and how much of the graph.
        limits: How large its batches may be.
        size: Numbers in a row of its results.
    """

    def __init__(
        self,
        session: Any,
        output: str,
        limits: BatchLimits,
        recipe: VectorRecipe | None,
        label: str,
        placement: Placement,
    ) -> None:
        self.label = label
        self.placement = placement
        self.limits = limits
        self._session = session
        self._output = output
        self._recipe = recipe
        self._text_inputs, self._other_inputs = _inputs(session)
        self._presents = _presents(session, output, self._other_inputs)
        # A run also warms the session up, and shows at once whether it runs at all.
        self.size = self.compute([TokenisedText([0])]).shape[1]

    def compute(self, texts: Sequence[TokenisedText]) -> FloatArray:
        """One row a text: its vector of length 1, or its scores.

        Args:
            texts: At least one; together within `limits`, or one alone.

        Returns:
            [texts, dimensions], or [texts, labels].
        """
        columns = _columns(texts, with_positions="position_ids" in self._text_inputs)
        past = {item.name: item.empty(len(texts)) for item in self._other_inputs}
        output = self._run_pieces(columns, past) if self._is_long(texts) else self._run(columns, past)[0]
        if self._recipe is None:
            scores: FloatArray = output.reshape(len(texts), -1)
            return scores
        return self._recipe.vectors(output, _counted(texts, columns["attention_mask"]))

    def _is_long(self, texts: Sequence[TokenisedText]) -> bool:
        return bool(self._presents) and len(texts) == 1 and len(texts[0].ids) > PIECE_TOKENS

    def _run(
        self, columns: Mapping[str, IntArray], past: Mapping[str, npt.NDArray[Any]], *more: str
    ) -> list[npt.NDArray[Any]]:
        """The output for some tokens, and further outputs."""
        feed = {name: columns[name].astype(dtype, copy=False) for name, dtype in self._text_inputs.items()}
        output, *others = self._session.run([self._output, *more], {**feed, **past})
        return [output.astype(np.float32, copy=False), *others]

    def _run_pieces(self, columns: Mapping[str, IntArray], past: Mapping[str, npt.NDArray[Any]]) -> FloatArray:
        """The same for one long text, piece by piece over the keys and values of those before."""
        length, outputs = columns["input_ids"].shape[1], []
        for start in range(0, length, PIECE_TOKENS):
            end = min(start + PIECE_TOKENS, length)
            piece = {name: values[:, start:end] for name, values in columns.items()}
            piece["attention_mask"] = columns["attention_mask"][:, :end]
            output, *presents = self._run(piece, past, *self._presents.values())
            past = dict(zip(self._presents, presents, strict=True))
            outputs.append(output)
        return np.concatenate(outputs, axis=1)


def open_embedding_session(
    graph: Path, recipe: VectorRecipe, *, threads: int | None = None, provider: ProviderChoice | None = None
) -> EmbeddingSession:
    """Load a graph whose output becomes vectors; onnxruntime's CPU provider computes if no other is given.

    Raises:
        ProviderError: The provider takes nothing of the graph.
        CannotRun: onnxruntime does not take it, or it has inputs or outputs of other kinds of models.
    """
    return _opened(graph, threads, provider, _vector_output, recipe)


def open_scoring_session(
    graph: Path,
    recipe: VectorRecipe | None = None,
    *,
    threads: int | None = None,
    provider: ProviderChoice | None = None,
) -> EmbeddingSession:
    """Load a cross-encoder, which gives scores for a pair of texts.

    Args:
        graph: The ONNX file.
        recipe: How the scores are made of a graph's hidden states; None where the graph makes them.
        threads: As for `open_embedding_session`.
        provider: Likewise.

    Raises:
        ProviderError: The provider takes nothing of the graph.
        CannotRun: As for `open_embedding_session`.
    """
    return _opened(graph, threads, provider, _score_output if recipe is None else _vector_output, recipe)


def _opened(
    graph: Path,
    threads: int | None,
    provider: ProviderChoice | None,
    choose_output: Callable[[Any], str],
    recipe: VectorRecipe | None,
) -> EmbeddingSession:
    num_threads = threads or default_threads()
    try:
        session, placement = open_session(graph, _options(num_threads), provider or choose_provider(CPU))
        limits = _limits({node.op_type for node in read_nodes(graph)})
        label = f"onnxruntime {ort.__version__}, {placement}, {num_threads} threads"
        return EmbeddingSession(session, choose_output(session), limits, recipe, label, placement)
    except (CannotRun, ProviderError):
        raise
    except Exception as error:  # the library's classes have no common one
        raise CannotRun(f"onnxruntime does not run {graph.name}: {error}") from error


def _options(num_threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Plans for memory are kept for each shape, and here nearly every batch has a shape of its own.
    options.enable_mem_pattern = False
    # Spinning between two operators saves a fifth of a short text's time; after the run it would take the core from
    # tokenising and from the HTTP server.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _limits(ops: set[str]) -> BatchLimits:
    max_rows = 1 if ops & _SHARED_SCALE_OPS else MAX_ROWS
    return BatchLimits(MAX_BATCH_TOKENS, MAX_BATCH_TOKENS, max_rows)


def _inputs(session: Any) -> tuple[Mapping[str, npt.DTypeLike], list[_Input]]:
    text: dict[str, npt.DTypeLike] = {}
    others = []
    for item in session.get_inputs():
        if item.type not in _TYPES:
            raise CannotRun(f"its input {item.name} is a {item.type}")
        if item.name in _TEXT_INPUTS:
            text[item.name] = _TYPES[item.type]
        elif item.name.startswith(_PAST) or item.name == "use_cache_branch":
            shape = tuple(size if isinstance(size, int) else None for size in item.shape)
            others.append(_Input(item.name, _TYPES[item.type], shape))
        else:
            raise CannotRun(f"it has an input that is not known here: {item.name}")
    if "input_ids" not in text:
        raise CannotRun("it has no input_ids")
    return text, others


def _presents(session: Any, output: str, others: Sequence[_Input]) -> Mapping[str, str]:
    """The output that continues each input of the past; empty where a text cannot be read in pieces."""
    ranks = {item.name: len(item.shape) for item in session.get_outputs()}
    found = {item.name: item.name.replace(_PAST, _PRESENT) for item in others}
    can_continue = all(name.startswith(_PAST) and present in ranks for name, present in found.items())
    return found if can_continue and ranks[output] == _BY_TOKEN else {}


def _vector_output(session: Any) -> str:
    ranks: dict[str, int] = {item.name: len(item.shape) for item in session.get_outputs()}
    preferred = [name for name in PREFERRED_OUTPUTS if name in ranks]
    by_token = [name for name, rank in ranks.items() if rank == 3]
    whole = [name for name, rank in ranks.items() if rank == 2]
    names = [*preferred, *by_token, *whole]
    if not names:
        raise CannotRun("it has no output that could be a text's vector")
    return names[0]


def _score_output(session: Any) -> str:
    ranks: dict[str, int] = {item.name: len(item.shape) for item in session.get_outputs()}
    if "logits" not in ranks or ranks["logits"] > 2:
        raise CannotRun("it has no output `logits` with scores for a text")
    return "logits"


def _columns(texts: Sequence[TokenisedText], *, with_positions: bool) -> dict[str, IntArray]:
    """The inputs of a batch, each [rows, longest], zeros behind each row's end."""
    shape = len(texts), max(len(text.ids) for text in texts)
    ids, mask, types = (np.zeros(shape, np.int64) for _ in range(3))
    for row, text in enumerate(texts):
        length = len(text.ids)
        ids[row, :length] = text.ids
        mask[row, :length] = 1
        types[row, : len(text.type_ids)] = text.type_ids
    columns = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    if with_positions:
        columns["position_ids"] = np.maximum(mask.cumsum(axis=1) - 1, 0)
    return columns


def _counted(texts: Sequence[TokenisedText], mask: IntArray) -> IntArray:
    """The mask without the prompts that a vector leaves out."""
    if not any(text.num_prompt for text in texts):
        return mask
    counted = mask.copy()
    for row, text in enumerate(texts):
        # A text that is all prompt keeps its last token, so that there is something to pool.
        counted[row, : min(text.num_prompt, len(text.ids) - 1)] = 0
    return counted
