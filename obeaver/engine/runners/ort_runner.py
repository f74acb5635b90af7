"""Decoder graphs with GroupQueryAttention, straight on ONNX Runtime.

Each cache's past and present are bound to the same memory, so the kernel writes new keys and values in place. A step of
decoding binds rows 0 to n-1, a chunk of prefill one row alone. The kernel takes each row's length from the sum of its
attention mask, so rows of different lengths share a run, and the mask's width only to tell a first prompt from a later
one. So the mask is always as wide as the buffers, no tensor changes its shape from step to step, bindings are made
once, and a step rewrites small inputs in place.

A row's numbers never depend on its neighbours, on the buffers' size or on how a prompt was cut: each kernel computes
each row of its input in the same order of operations. There is one exception, attention in float32, over a float cache
or of a prompt (`prompt_attention`): for one token alone it adds up in another order than for several. There, a chunk
that leaves one token alone is computed together with another one that is thrown away.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from obeaver.engine.runners.decoder_graph import DecoderGraph, check_operators, describe, has_few_bits
from obeaver.engine.runners.kv_buffers import KvBuffers
from obeaver.engine.runners.prompt_attention import inputs_for, leaves_one_alone, with_prompt_attention
from obeaver.engine.runners.row_bindings import RowBindings, bind_input
from obeaver.engine.runners.runner import WHOLE, KvBlock, KvShape, Logits, Part, RunnerInfo
from obeaver.engine.runners.step_inputs import StepInputs
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.engine.sessions.ort_session import copied_inputs, open_session
from obeaver.engine.sessions.placement import Placement
from obeaver.engine.sessions.providers import CPU, ProviderChoice, choose_provider
from obeaver.engine.sessions.telemetry import TELEMETRY_OFF
from obeaver.errors import EngineFailed, ProviderError
from obeaver.onnx_outline import read_nodes
from obeaver.processor import EXACT_BYTE_PRODUCTS, byte_products_overflow, few_bit_rows_vary
from obeaver.threads import default_threads

# Errors come back as exceptions with the same text; on stderr they would stand twice.
_FATAL_ONLY: Final = 4
_MAX_ROWS: Final = 32
# A chunk that leaves one token alone needs room for another one.
_SPARE_TOKENS: Final = 1
# A step that looks ahead has fewer. What the logits of 64 tokens are made of takes 50 MB, which the arena would keep.
_MANY_LOGITS: Final = 16
# The past as floats, and once more with what is new. Below, it is quicker to keep the memory for the next chunk.
_LARGE_PAST: Final = 1 << 25


@dataclass(frozen=True, slots=True)
class SessionChoices:
    """How a session computes; the defaults were chosen by measurement.

    Attributes:
        threads: None for the physical cores.
        spin_us: How long a thread without work waits actively. A step has hundreds of pauses of a few microseconds, and
            sleeping through them costs 15 %; waiting on, as ONNX Runtime does by default, costs as much again, and half
            of the speed where anything else wants the processor.
        arena: Whether memory of intermediate results is kept for the next step.
        config: More of ONNX Runtime's session configuration keys.
    """

    threads: int | None = None
    spin_us: int = 20
    arena: bool = True
    config: tuple[tuple[str, str], ...] = ()


def open_ort_runner(
    graph: Path,
    *,
    context_length: int,
    head_size: int | None = None,
    threads: int | None = None,
    max_rows: int = _MAX_ROWS,
    choices: SessionChoices | None = None,
    provider: ProviderChoice | None = None,
) -> "OrtRunner":
    """Load a decoder graph.

    Args:
        graph: The .onnx file.
        context_length: Most tokens a row may hold.
        head_size: Elements of one head of a cache, for a graph that does not say it.
        threads: Physical cores by default.
        max_rows: Most rows.
        choices: How to compute; `threads` wins over the choice of the same name.
        provider: What computes; onnxruntime's CPU provider by default.

    Raises:
        ProviderError: The provider takes nothing of the graph.
        CannotRun: The graph is not of the kind that this runner takes, or ONNX Runtime does not load it.
    """
    os.environ.update(TELEMETRY_OFF)
    import onnxruntime as ort

    choices = choices or SessionChoices()
    num_threads = threads or choices.threads or default_threads()
    try:
        nodes = read_nodes(graph)
        check_operators(nodes)
        choice = provider or choose_provider(CPU)
        options = _session_options(ort, choices, num_threads)
        session, placement = _open(graph, options, choice)
    except (CannotRun, ProviderError):
        raise
    except Exception as error:
        raise CannotRun(f"onnxruntime cannot load it: {str(error).partition(chr(10))[0]}") from error
    inputs = [*session.get_inputs(), *session.get_overridable_initializers()]
    decoder = describe(inputs, session.get_outputs(), nodes, head_size=head_size)
    if any(name in copied_inputs(session) for name, _ in decoder.cache_names):
        raise CannotRun(f"{placement.provider} keeps keys and values in memory of its own")
    few_bits = has_few_bits(nodes)
    rows_vary = few_bit_rows_vary() and few_bits
    weights = ", weights of 4 bits" if few_bits else ""
    info = RunnerInfo(
        label=f"onnxruntime {ort.__version__}, {placement}, {num_threads} threads, {decoder.attention}{weights}",
        vocab_size=decoder.vocab_size,
        context_length=context_length,
        kv_bytes_per_token=decoder.kv_bytes_per_token,
        max_rows=max_rows,
        can_copy_kv=decoder.decodes_as_prefill or not decoder.has_pruned_head,
        decodes_as_prefill=decoder.decodes_as_prefill and not rows_vary,
        decodes_ahead=decoder.decodes_ahead and not rows_vary,
        gives_all_logits=not decoder.has_pruned_head,
        placement=placement,
        kv_layout=decoder.kv_layout,
        num_parts=decoder.num_parts,
    )
    return OrtRunner(session, decoder, info, RunChoices(ort, arena=choices.arena))


def _open(graph: Path, options: Any, choice: ProviderChoice) -> tuple[Any, Placement]:
    """A session whose prompts attend in float32, part by part, where that can be done."""
    if not choice.is_cpu:
        return open_session(graph, options, choice)
    edited = with_prompt_attention(graph)
    try:
        return open_session(graph, options, choice, edited=edited)
    except Exception:
        # Nothing tells what kinds of tensors pass between the layers of a graph that others made.
        if edited is None:
            raise
        return open_session(graph, options, choice, edited=with_prompt_attention(graph, in_parts=False))


class RunChoices:
    """How a chunk of a prompt is run.

    Args:
        ort: The package.
        arena: Whether the session has one.
    """

    def __init__(self, ort: Any, *, arena: bool) -> None:
        self._giving_back = ort.RunOptions() if arena else None
        if self._giving_back is not None:
            # Memory of the arena that is not in use at the end of the run goes back to the operating system.
            self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def of(self, num_logits: int, float_bytes: int) -> Any:
        """Options of a run, None for the usual ones.

        Args:
            num_logits: Of how many tokens it gives logits.
            float_bytes: What the past takes that it takes apart.
        """
        return self._giving_back if num_logits > _MANY_LOGITS or float_bytes > _LARGE_PAST else None


class OrtRunner:
    """See the module. Made by `open_ort_runner`; no row exists before the first `resize`."""

    def __init__(self, session: Any, decoder: DecoderGraph, info: RunnerInfo, run_choices: RunChoices) -> None:
        self._session = session
        self._decoder = decoder
        self._info = info
        self._run_choices = run_choices
        self._copied = copied_inputs(session)
        self._kv = KvBuffers(decoder)
        self._last_ids: list[int] = []
        self._hidden: list[Any] = []
        self._bind_anew(0)

    @property
    def info(self) -> RunnerInfo:
        """What this runner is."""
        return self._info

    def resize(self, shape: KvShape, held: Sequence[int] | None = None) -> None:
        """Reallocate the buffers; what fits of the old contents stays where it was."""
        num_spare = 0 if self._decoder.decodes_as_prefill else _SPARE_TOKENS
        self._kv.resize(KvShape(shape.rows, shape.tokens + num_spare), held)
        self._bind_anew(shape.rows)

    def move_row(self, source: int, target: int, num_tokens: int) -> None:
        """Copy the first tokens of a row over another."""
        self._kv.move_row(source, target, num_tokens)
        self._last_ids[target] = self._last_ids[source]

    def swap_rows(self, first: int, second: int, num_first: int, num_second: int) -> None:
        """Exchange the first tokens of two rows."""
        self._kv.swap_rows(first, second, num_first, num_second)
        self._last_ids[first], self._last_ids[second] = self._last_ids[second], self._last_ids[first]

    def read_kv(self, row: int, start: int, stop: int) -> KvBlock:
        """A copy of the keys and values of tokens start to stop-1 of a row."""
        return self._kv.read(row, start, stop)

    def write_kv(self, row: int, start: int, block: KvBlock) -> None:
        """Put such a copy back."""
        self._kv.write(row, start, block)

    def prefill(
        self,
        row: int,
        token_ids: Sequence[int],
        start: int,
        want_logits: bool,
        *,
        decoded: bool = False,
        part: Part = WHOLE,
    ) -> Logits | None:
        """Compute consecutive tokens of one row."""
        last_id = self._last_ids[row]
        self._last_ids[row] = token_ids[-1]
        in_float = self._attends_in_float(decoded)
        logits_from = -1
        if self._needs_another_token(len(token_ids), start, in_float):
            # A pruned head gives the last position's logits, so the other token has to be the one before.
            if self._decoder.has_pruned_head:
                token_ids, start = [last_id, *token_ids], start - 1
            else:
                token_ids, logits_from = [*token_ids, token_ids[-1]], -2
        if not want_logits:
            self._run_chunk(row, token_ids, start, None, in_float, part)
            return None
        return _float32(self._run_chunk(row, token_ids, start, logits_from, in_float, part)[logits_from])

    def prefill_with_logits(
        self, row: int, token_ids: Sequence[int], start: int, *, decoded: bool = False, part: Part = WHOLE
    ) -> Logits:
        """The same, with the logits of all of these tokens; not for graphs with a pruned head."""
        self._last_ids[row] = token_ids[-1]
        num_tokens = len(token_ids)
        in_float = self._attends_in_float(decoded)
        if self._needs_another_token(num_tokens, start, in_float):
            token_ids = [*token_ids, token_ids[-1]]
        return _float32(self._run_chunk(row, token_ids, start, 0, in_float, part)[:num_tokens])

    def decode(self, token_ids: Sequence[int], lengths: Sequence[int]) -> Logits:
        """Advance rows 0 to n-1 by one token each."""
        num_rows = len(token_ids)
        self._inputs.write_decode(token_ids, lengths)
        self._last_ids[:num_rows] = token_ids
        self._run(self._bindings.decode(num_rows))
        return _float32(self._logits[:num_rows, 0])

    def release_row(self, row: int) -> None:
        """Nothing to do: the next prompt writes over it."""

    def close(self) -> None:
        """Give back weights and buffers."""
        self._session = None  # first, or the bindings would keep it
        self.resize(KvShape(0, 0))

    def _bind_anew(self, num_rows: int) -> None:
        """Make the small tensors, and forget all bindings: their addresses are void."""
        # The kernel wants no mask wider than the rotary tables, which end with the context.
        mask_width = min(self._kv.shape.tokens, self._info.context_length)
        self._inputs = StepInputs(num_rows, mask_width)
        self._logits = np.empty((num_rows, 1, self._decoder.vocab_size), self._decoder.logits_type)
        self._bindings = RowBindings(
            self._session, self._decoder, self._kv.arrays, self._inputs, self._logits, self._copied
        )
        self._last_ids = [*self._last_ids[:num_rows], *[0] * (num_rows - len(self._last_ids))]

    def _attends_in_float(self, decoded: bool) -> bool:
        return self._decoder.attends_prompts_in_float and not decoded

    def _needs_another_token(self, num_tokens: int, start: int, in_float: bool) -> bool:
        """Whether a chunk must not be computed as it is; see the module."""
        if in_float:
            return leaves_one_alone(num_tokens, self._decoder.head_dim)
        # A row's first token attends to itself alone, and there is nothing to add up.
        return num_tokens == 1 and start > 0 and not self._decoder.decodes_ahead

    def _run_chunk(
        self,
        row: int,
        token_ids: Sequence[int],
        start: int,
        logits_from: int | None,
        in_float: bool,
        part: Part = WHOLE,
    ) -> npt.NDArray[Any]:
        """Compute consecutive tokens of a row; the logits that came out, [n, vocab_size].

        Args:
            row: Which row.
            token_ids: At least one.
            start: Place of the first.
            logits_from: Which of them is the first whose logits are wanted; may count from the end. None: of none.
            in_float: As a prompt of a graph that attends to prompts in float32.
            part: Of the layers.
        """
        stop = start + len(token_ids)
        self._inputs.set_length(row, stop)
        num_logits = 0 if logits_from is None else self._decoder.num_logits(len(token_ids), logits_from)
        logits: npt.NDArray[Any] = np.empty((1, num_logits, self._decoder.vocab_size), self._decoder.logits_type)
        if part == WHOLE:
            binding = self._bindings.prefill(row, logits)
        else:
            parts = part.of(self._decoder.num_parts)
            binding = self._bindings.part(row, parts, [] if part.is_first else self._hidden, logits)
        taken_in = token_ids if part.is_first else []
        ids = np.array([taken_in], np.int64)
        positions = np.arange(start, start + len(taken_in), dtype=np.int64)[None]
        first_wanted = np.array([-1 if logits_from is None else logits_from], np.int64)
        bind_input(binding, "input_ids", ids)
        if self._decoder.has_position_ids:
            bind_input(binding, "position_ids", positions)
        if self._decoder.has_logits_from:
            bind_input(binding, "logits_from", first_wanted)
        if self._decoder.attends_prompts_in_float:
            attention = inputs_for(self._decoder.num_kv_heads, range(start, stop) if in_float else None)
            for name, array in attention.items():
                bind_input(binding, name, array)
        self._run(binding, self._run_choices.of(num_logits, stop * self._decoder.float_bytes_per_token * in_float))
        if part != WHOLE:
            self._hidden = [] if part.is_last else binding.get_outputs()[-self._decoder.num_given :]
        rows: npt.NDArray[Any] = logits[0]
        return rows

    def _run(self, binding: Any, run_options: Any = None) -> None:
        try:
            self._session.run_with_iobinding(binding, run_options)
        except RuntimeError as error:
            raise EngineFailed("onnxruntime could not compute a step.") from error


def _float32(logits: npt.NDArray[Any]) -> Logits:
    return logits.astype(np.float32, copy=False)


def _session_options(ort: Any, choices: SessionChoices, num_threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    options.enable_cpu_mem_arena = choices.arena
    # A plan of memory would be kept for each length and part of a chunk, 25 kB each, for as long as the model lives.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(choices.spin_us))
    if byte_products_overflow():
        options.add_session_config_entry(EXACT_BYTE_PRODUCTS, "1")
    for key, value in choices.config:
        options.add_session_config_entry(key, value)
    return options
