"""Runs a decoder graph as an engine does: rows side by side, past and present in one buffer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from obeaver.processor import EXACT_BYTE_PRODUCTS, byte_products_overflow

FloatArray = npt.NDArray[np.float32]


def exact_options() -> ort.SessionOptions:
    """Options with which sums of products of bytes are right on every processor."""
    options = ort.SessionOptions()
    if byte_products_overflow():
        options.add_session_config_entry(EXACT_BYTE_PRODUCTS, "1")
    return options


def open_session(folder: Path) -> ort.InferenceSession:
    options = exact_options()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3  # the optional input makes a warning
    return ort.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


class Rows:
    """Buffers for some rows of at most `places` tokens each."""

    def __init__(self, session: ort.InferenceSession, rows: int, places: int) -> None:
        self._session = session
        self.buffers = {
            value.name: np.zeros(
                (rows, value.shape[1], places, value.shape[3]), np.int8 if "int8" in value.type else np.float32
            )
            for value in session.get_inputs()
            if value.name.startswith("past_key_values.")
        }

    def run(self, token_ids: Sequence[Sequence[int]], lengths: Sequence[int], logits_from: int = 0) -> FloatArray:
        """Advance all rows by the same number of tokens; `lengths` count the new ones. Returns logits."""
        binding = self._session.io_binding()
        for name, buffer in self.buffers.items():
            value = ort.OrtValue.ortvalue_from_numpy(buffer)
            binding.bind_ortvalue_input(name, value)
            binding.bind_ortvalue_output(name.replace("past_key_values", "present"), value)
        mask = np.arange(max(lengths)) < np.asarray(lengths)[:, None]
        binding.bind_cpu_input("input_ids", np.asarray(token_ids, np.int64))
        binding.bind_cpu_input("attention_mask", mask.astype(np.int64))
        start = ort.OrtValue.ortvalue_from_numpy(np.array([logits_from], np.int64))
        binding.bind_ortvalue_input("logits_from", start)
        binding.bind_output("logits")
        self._session.run_with_iobinding(binding)
        logits: FloatArray = binding.copy_outputs_to_cpu()[-1]
        return logits

    def copy_row(self, source: "Rows", row: int, num_tokens: int) -> None:
        """Take the first tokens of row 0 of `source` into a row."""
        for name, buffer in self.buffers.items():
            buffer[row, :, :num_tokens] = source.buffers[name][0, :, :num_tokens]

    def cache(self, row: int, num_tokens: int) -> bytes:
        """Keys and values of a row's first tokens."""
        return b"".join(buffer[row, :, :num_tokens].tobytes() for buffer in self.buffers.values())


def prefill(
    session: ort.InferenceSession, token_ids: Sequence[int], chunk: int, places: int
) -> tuple[FloatArray, Rows]:
    """Compute a text in chunks; returns its logits [tokens, vocab_size] and its row."""
    rows = Rows(session, 1, places)
    logits = [
        rows.run([token_ids[start : start + chunk]], [min(start + chunk, len(token_ids))])[0]
        for start in range(0, len(token_ids), chunk)
    ]
    return np.concatenate(logits), rows
