"""I/O bindings of a session to rows of the buffers, made once and kept: binding some sixty tensors costs 0.2 ms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from obeaver.engine.runners.decoder_graph import DecoderGraph
from obeaver.engine.runners.kv_buffers import KvArray
from obeaver.engine.runners.layer_parts import computes_input, given_input, hidden_output, kept_input, layers_of
from obeaver.engine.runners.prompt_attention import inputs_for
from obeaver.engine.runners.step_inputs import StepInputs

Array = npt.NDArray[Any]
_YES, _NO = np.array(True), np.array(False)
_ALL, _NONE = np.array([np.iinfo(np.int64).max]), np.array([0])


class RowBindings:
    """Bindings to buffers that stay where they are; new buffers need new bindings.

    A binding holds addresses, no references: whoever runs it must keep the arrays.

    Args:
        session: Runs the graph.
        decoder: What the graph takes and gives.
        caches: Keys and values of all rows.
        inputs: The small tensors.
        logits: Gets those of a step of decoding.
        copied: Inputs whose contents the session copies when they are bound, so that they are bound for each run.
    """

    def __init__(
        self,
        session: Any,
        decoder: DecoderGraph,
        caches: Sequence[KvArray],
        inputs: StepInputs,
        logits: Array,
        copied: frozenset[str] = frozenset(),
    ) -> None:
        self._session = session
        self._decoder = decoder
        self._caches = caches
        self._inputs = inputs
        self._logits = logits
        self._copied = copied
        self._attention = inputs_for(decoder.num_kv_heads) if decoder.attends_prompts_in_float else {}
        self._num_parts = decoder.num_parts if decoder.num_given else 0
        self._all_parts = self._parts(range(self._num_parts))
        self._decodes: dict[int, Any] = {}
        self._prefills: dict[tuple[int, bool], Any] = {}

    def decode(self, num_rows: int) -> Any:
        """All that a step of rows 0 to num_rows-1 reads and writes."""
        binding = self._decodes.get(num_rows)
        if binding is None:
            binding = self._decodes[num_rows] = self._rows(0, num_rows)
            for name, array in self._small_inputs(num_rows).items():
                bind_input(binding, name, array)
            _bind_output(binding, "logits", self._logits[:num_rows])
        elif self._copied:
            small = self._small_inputs(num_rows)
            for name in self._copied:
                bind_input(binding, name, small[name])
        return binding

    def prefill(self, row: int, logits: Array) -> Any:
        """Caches and mask of one row; token ids and logits, [1, n, vocab_size], n 0 for none, differ by the chunk."""
        key = (row, logits.size > 0)
        binding = self._prefills.get(key)
        if binding is None:
            binding = self._prefills[key] = self._rows(row, 1)
        elif "attention_mask" in self._copied:
            bind_input(binding, "attention_mask", self._inputs.mask[row : row + 1])
        if logits.size:
            _bind_output(binding, "logits", logits)
        return binding

    def part(self, row: int, parts: range, given: Sequence[Any], logits: Array) -> Any:
        """As `prefill`, for some parts of the layers; not kept.

        Args:
            row: Which row.
            parts: Which parts; without the last one, what stands behind them comes out.
            given: What came out of the parts before, onnxruntime's values.
            logits: As `prefill` takes them.
        """
        decoder = self._decoder
        binding = self._rows(row, 1, layers_of(decoder.num_layers, parts))
        for name, array in self._parts(parts).items():
            bind_input(binding, name, array)
        for index, value in enumerate(given):
            binding.bind_ortvalue_input(given_input(parts.start, index), value)
        if logits.size:
            _bind_output(binding, "logits", logits)
        elif parts.stop < decoder.num_parts:
            for index in range(decoder.num_given):
                binding.bind_output(hidden_output(parts.stop - 1, index))
        return binding

    def _parts(self, computed: range) -> dict[str, Array]:
        """The inputs that say which parts are computed."""
        inputs = {computes_input(part): _YES if part in computed else _NO for part in range(self._num_parts)}
        kept = {kept_input(part): _ALL if part in computed else _NONE for part in range(1, self._num_parts)}
        return inputs | kept

    def _small_inputs(self, num_rows: int) -> dict[str, Array]:
        inputs: dict[str, Array] = {"input_ids": self._inputs.ids[:num_rows]}
        inputs["attention_mask"] = self._inputs.mask[:num_rows]
        if self._decoder.has_position_ids:
            inputs["position_ids"] = self._inputs.positions[:num_rows]
        if self._decoder.has_logits_from:
            inputs["logits_from"] = self._inputs.logits_from
        return inputs

    def _rows(self, first: int, num_rows: int, layers: range | None = None) -> Any:
        """What runs of these rows share; `layers` are those that are written, if not all."""
        binding = self._session.io_binding()
        rows = slice(first, first + num_rows)
        written = range(self._decoder.num_layers) if layers is None else layers
        for place, ((past, present), cache) in enumerate(zip(self._decoder.cache_names, self._caches, strict=True)):
            bind_input(binding, past, cache[rows])
            if place // 2 in written:
                _bind_output(binding, present, cache[rows])
        bind_input(binding, "attention_mask", self._inputs.mask[rows])
        for name, array in (*self._attention.items(), *self._all_parts.items()):
            bind_input(binding, name, array)
        nothing = np.empty((num_rows, 0, self._decoder.hidden_size), np.float32)
        for part in range(1, self._num_parts):
            for index in range(self._decoder.num_given):
                bind_input(binding, given_input(part, index), nothing)
        return binding


def bind_input(binding: Any, name: str, array: Array) -> None:
    """Let a graph's input read this memory; the array must be contiguous and outlive the run."""
    binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def _bind_output(binding: Any, name: str, array: Array) -> None:
    binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
