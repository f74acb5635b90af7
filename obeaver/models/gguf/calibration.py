"""What an import learns from running the model: scales of an int8 KV cache, and what activations are like.

Layers are run when something of them is first asked for. So a layer is run and stored before the next one is read, and
its weights are dequantised once for both.
"""

from collections.abc import Sequence
from typing import Final

from obeaver.models.gguf.activations import Activations
from obeaver.models.gguf.graph import KvScales
from obeaver.models.gguf.kv_scales import KvRanges
from obeaver.models.gguf.reader import FloatArray
from obeaver.models.gguf.streamed import StreamedLayers
from obeaver.models.gguf.weights import HeldWeights

_LAYER: Final = "blk."


class Calibration:
    """One run of a model over some texts.

    Args:
        weights: The model's.
        texts: Token ids to learn from.
        evaluation: Token ids of a text that is run beside them; empty for none.
    """

    def __init__(self, weights: HeldWeights, texts: Sequence[Sequence[int]], evaluation: Sequence[int] = ()) -> None:
        self._weights = weights
        self._cache = KvRanges(weights.model, len(texts))
        self._activations = Activations(len(texts))
        self._num_texts = len(texts)
        self._layers = StreamedLayers(
            weights.model,
            weights,
            [*texts, *([evaluation] if evaluation else [])],
            on_keys_and_values=self._on_keys_and_values,
            on_inputs=self._on_inputs,
        )

    def scales_of(self, layer: int) -> KvScales:
        """Scales of a layer's int8 cache."""
        self._reach(layer)
        return self._cache.scales(layer)

    def activations_of(self, place: str) -> Activations:
        """What was seen in a layer, such as `blk.3`, or before the head; until the next layer is asked for."""
        last = self._weights.model.num_layers
        self._reach(int(place.removeprefix(_LAYER)) if place.startswith(_LAYER) else last)
        return self._activations

    def evaluated(self) -> FloatArray:
        """The evaluation text's hidden states [1, tokens, hidden_size] after the last layer."""
        self._reach(self._weights.model.num_layers)
        return self._layers.hidden[self._num_texts]

    def _reach(self, layer: int) -> None:
        while self._layers.num_run <= layer:
            self._weights.let_go()
            self._activations.forget()
            self._layers.run_next()

    def _on_keys_and_values(self, text: int, layer: int, keys: FloatArray, values: FloatArray) -> None:
        if text < self._num_texts:
            self._cache.add(layer, text, keys, values)

    def _on_inputs(self, text: int, matrix: str, inputs: FloatArray) -> None:
        if text < self._num_texts:
            self._activations.add(text, matrix, inputs)
