"""Scales for an int8 KV cache, fixed at import: one for each layer, head and channel of keys and of values.

Channels of keys differ a lot in range (RoPE leaves the slow ones nearly still), so one scale for a whole tensor would
spend most of its steps on a few of them.
"""

from typing import Final

import numpy as np

from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.graph import KvScales
from obeaver.models.gguf.reader import FloatArray

_TOP: Final = 127
# Room above what calibration saw: other texts reach further, and clipping costs more than coarser steps do. On the
# default model with float32 weights, margins of 1, 1.25, 1.5 and 2 gave Python source a mean KL of 0.0077, 0.0028,
# 0.0020 and 0.0022, and a chat 0.0054, 0.0015, 0.0019 and 0.0033.
_MARGIN: Final = 1.5
_SMALLEST: Final = 1e-6


class KvRanges:
    """Collects the largest absolute value of each channel, of several texts beside each other."""

    def __init__(self, model: Architecture, num_texts: int) -> None:
        shape = (model.num_layers, num_texts, model.num_kv_heads, 1, model.head_width)
        self._keys = np.zeros(shape, np.float32)
        self._values = np.zeros(shape, np.float32)

    def add(self, layer: int, text: int, keys: FloatArray, values: FloatArray) -> None:
        """Take in a text's keys and values [1, num_kv_heads, tokens, head_dim] of one layer."""
        self._keys[layer, text] = np.abs(keys[0]).max(axis=1, keepdims=True)
        self._values[layer, text] = np.abs(values[0]).max(axis=1, keepdims=True)

    def scales(self, layer: int) -> KvScales:
        """Of one layer."""
        return KvScales(_scale(self._keys[layer]), _scale(self._values[layer]))


def _scale(highest: FloatArray) -> FloatArray:
    """Of the highest values [texts, num_kv_heads, 1, head_dim]."""
    steps = highest.max(axis=0, keepdims=True) * np.float32(_MARGIN / _TOP)
    scale: FloatArray = np.maximum(steps, np.float32(_SMALLEST))
    return scale
