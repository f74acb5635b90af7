"""The small tensors of a step. They stay where they are in memory, so that bindings to them hold from step to step."""

from collections.abc import Sequence

import numpy as np


class StepInputs:
    """Token ids and positions, [rows, 1] each, and the attention mask, [rows, mask_width]; all int64.

    `logits_from` says of a step of decoding that all its logits are wanted.
    """

    def __init__(self, num_rows: int, mask_width: int) -> None:
        self.ids = np.zeros((num_rows, 1), np.int64)
        self.positions = np.zeros((num_rows, 1), np.int64)
        self.mask = np.zeros((num_rows, mask_width), np.int64)
        self.logits_from = np.zeros(1, np.int64)
        self._lengths = [0] * num_rows

    def write_decode(self, token_ids: Sequence[int], lengths: Sequence[int]) -> None:
        """One token for each of the first rows, behind what the row holds."""
        num_rows = len(token_ids)
        self.ids[:num_rows, 0] = token_ids
        self.positions[:num_rows, 0] = lengths
        for row, length in enumerate(lengths):
            self.set_length(row, length + 1)

    def set_length(self, row: int, length: int) -> None:
        """Let a row's mask hold this many ones; writes only what changes."""
        known = self._lengths[row]
        self.mask[row, known:length] = 1
        self.mask[row, length:known] = 0
        self._lengths[row] = length
