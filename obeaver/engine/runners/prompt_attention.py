"""Attention of prompts over an int8 cache, in float32.

onnxruntime's GroupQueryAttention over an int8 cache takes the keys and values of the past apart again for each query.
That is right for a token that is decoded: it reads a quarter of the bytes. For the many queries of a prompt it takes
three to four times as long as the same attention over float32. So a graph gets both, and an input that says which is
wanted:

    is_prompt? -> If -> no:  the attention that stood there
                        yes: rotate; round new keys and values; write them into the cache; take all of it apart once;
                             attend in float32

The steps of the cache go into the queries and out of the result, so that what is taken apart are whole numbers. New
keys and values are attended to as they are in the cache, rounded like those of the past, so that it does not matter
where a prompt is cut. The kernel gets no keys and values beside that past, and is asked for none: it would put both
together in a copy.

The two ways add up in other orders: what they write may differ in a last bit, now and then. So each token is computed
in one way only, whatever the load: those of a prompt in float32, those that were decoded as it is done in decoding,
also when several of them are computed at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from obeaver.engine.runners.layer_parts import Layer, cut_into_parts
from obeaver.processor import level_2_cache

IS_PROMPT: Final = "is_prompt"
START: Final = "prompt_start"
END: Final = "prompt_end"
TOTAL: Final = "prompt_total"
PLACES: Final = "prompt_places"
INPUTS: Final = frozenset({IS_PROMPT, START, END, TOTAL, PLACES})

_QUERY_GRAIN: Final = 16
"""Where the second cache's size is not known: the kernel's blocks of queries are most likely a multiple of this."""
_CACHE_SHARE: Final = 32

_ATTENTION: Final = "GroupQueryAttention"
_MICROSOFT: Final = "com.microsoft"
_INPUT_NAMES: Final = (
    *("query", "key", "value", "past_key", "past_value", "last", "total", "cos", "sin", "positions", "bias", "sinks"),
    *("key_scale", "value_scale"),
)
_CACHE_ATTRIBUTES: Final = frozenset(
    {"do_rotary", "rotary_interleaved", "k_quant_type", "v_quant_type", "kv_cache_bit_width"}
)
_BYTE: Final = 8


def inputs_for(num_kv_heads: int, prompt: range | None = None) -> dict[str, npt.NDArray[np.generic]]:
    """The inputs that say how a run attends.

    Args:
        num_kv_heads: Heads of keys and values.
        prompt: The places of a prompt's tokens; None for tokens that are decoded.

    Returns:
        By name. Where new keys and values go is told by row, head and place of each, [1, num_tokens, num_kv_heads, 3].
    """
    tokens = prompt or range(0)
    places = np.zeros((1, len(tokens), num_kv_heads, 3), np.int64)
    places[..., 1] = np.arange(num_kv_heads)
    places[..., 2] = np.array(tokens, np.int64)[:, None]
    return {
        IS_PROMPT: np.array(prompt is not None),
        START: np.array([tokens.start], np.int64),
        END: np.array([tokens.stop], np.int64),
        TOTAL: np.array(tokens.stop, np.int32),
        PLACES: places,
    }


def leaves_one_alone(num_tokens: int, head_size: int) -> bool:
    """Whether the kernel computes one of a prompt's tokens alone, which it adds up in another order than several.

    It cuts queries into blocks: as many as a head has elements twice over, fewer where the second cache is small.
    """
    known = level_2_cache()
    block = 2 * head_size if known is None else min(2 * head_size, max(1, known // (_CACHE_SHARE * head_size)))
    return num_tokens % block == 1 or (known is None and num_tokens % _QUERY_GRAIN == 1)


def with_prompt_attention(graph: Path, *, in_parts: bool = True) -> bytes | None:
    """A decoder graph that can attend in float32; None where its attention is not of the kind described above.

    None too where the second cache's size cannot be told: the kernel would then take queries and keys one by one.

    Args:
        graph: The .onnx file; weights beside it stay there.
        in_parts: Whether to cut it into parts as well (`layer_parts`), if that can be done.
    """
    if level_2_cache() == 0:
        return None
    import onnx

    model = onnx.load(graph, load_external_data=False)
    if not _is_suited(model.graph):
        return None
    constants = _Constants(model.graph, graph.parent)
    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in model.graph.input}
    num_kv_heads, layers = 0, list[Layer]()
    for node in model.graph.node:
        if node.op_type == _ATTENTION:
            attention = _Attention.of(node, shapes, constants)
            if attention is None:
                return None
            node.CopyFrom(attention.either(constants))
            num_kv_heads = attention.num_kv_heads
            layers.append(Layer(node.output[1], attention.num_heads * attention.head_size))
    if in_parts:
        cut_into_parts(model.graph, layers)
    model.graph.initializer.extend(constants.added)
    model.graph.input.extend(_inputs(num_kv_heads))
    data: bytes = model.SerializeToString()
    return data


def _is_suited(graph: Any) -> bool:
    """Whether it computes in float32, as far as logits tell, and gives those of all tokens; and attends at all."""
    from onnx import TensorProto

    logits = [value.type.tensor_type for value in graph.output if value.name == "logits"]
    is_whole = all(len(kind.shape.dim) == 3 and kind.shape.dim[1].dim_value != 1 for kind in logits)
    is_float32 = all(kind.elem_type == TensorProto.FLOAT for kind in logits)
    return is_whole and is_float32 and any(node.op_type == _ATTENTION for node in graph.node)


def _inputs(num_kv_heads: int) -> list[Any]:
    from onnx import TensorProto, helper

    kinds: Mapping[str, tuple[int, list[int | str]]] = {
        IS_PROMPT: (TensorProto.BOOL, []),
        START: (TensorProto.INT64, [1]),
        END: (TensorProto.INT64, [1]),
        TOTAL: (TensorProto.INT32, []),
        PLACES: (TensorProto.INT64, [1, "prompt_tokens", num_kv_heads, 3]),
    }
    return [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]


class _Constants:
    """Initializers that are there, and those that are added."""

    def __init__(self, graph: Any, folder: Path) -> None:
        self._folder = folder
        self._there = {tensor.name: tensor for tensor in graph.initializer}
        self._names: set[str] = set()
        self.added: list[Any] = []

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Of one that is there; None where there is none of that name."""
        return tuple(self._there[name].dims) if name in self._there else None

    def values(self, name: str) -> npt.NDArray[np.float32]:
        """Of one that is there, in one dimension; none where it cannot be read."""
        from onnx import numpy_helper

        try:
            found = numpy_helper.to_array(self._there[name], str(self._folder))
        except Exception:  # noqa: BLE001 - links are refused, which onnxruntime follows; its errors have no common class
            return np.empty(0, np.float32)
        return found.astype(np.float32).reshape(-1)

    def add(self, name: str, array: npt.NDArray[np.generic]) -> str:
        """Add one, once; returns its name."""
        from onnx import numpy_helper

        if name not in self._names:
            self._names.add(name)
            self.added.append(numpy_helper.from_array(array, name))
        return name


class _Steps:
    """Nodes of a branch; their names, and those of what they give, begin alike."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[Any] = []

    def add(self, op: str, inputs: Sequence[str], *outputs: str, domain: str = "", **attributes: Any) -> list[str]:
        """Append a node; returns the full names of its outputs."""
        from onnx import helper

        names = [f"{self._prefix}.{output}" for output in outputs]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], domain=domain, **attributes))
        return names

    def one(self, op: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        """Append a node of one output; returns its full name."""
        return self.add(op, inputs, output, domain=domain, **attributes)[0]


@dataclass(frozen=True, slots=True)
class _Attention:
    """One attention over an int8 cache.

    Attributes:
        node: The node.
        inputs: Its inputs by what they are; empty texts where there are none.
        attributes: Its attributes.
        steps: Of the cache, as the inputs `key_scale` and `value_scale` have them, in one dimension.
        head_size: Elements of a head.
    """

    node: Any
    inputs: Mapping[str, str]
    attributes: Mapping[str, Any]
    steps: Mapping[str, npt.NDArray[np.float32]]
    head_size: int

    @classmethod
    def of(cls, node: Any, shapes: Mapping[str, Sequence[int]], constants: _Constants) -> "_Attention | None":
        """Of a node, given the shapes of the graph's inputs; None where the module does not know how to compute it."""
        from onnx import helper

        if len(node.input) > len(_INPUT_NAMES):
            return None
        padded = [*node.input, *[""] * (len(_INPUT_NAMES) - len(node.input))]
        inputs = dict(zip(_INPUT_NAMES, padded, strict=True))
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        is_known = (
            attributes.get("kv_cache_bit_width") == _BYTE
            and not attributes.get("sliding_window_cache")
            and not (inputs["positions"] or inputs["bias"])
            and bool(inputs["key"]) == bool(inputs["value"])
            and all(constants.shape(inputs[name]) for name in ("key_scale", "value_scale"))
            and inputs["past_key"] in shapes
        )
        if not is_known or (attributes.get("do_rotary") and constants.shape(inputs["cos"]) is None):
            return None
        # The builder names a head's size in place of giving it; scales of channels tell it.
        steps = {name: constants.values(inputs[name]) for name in ("key_scale", "value_scale")}
        head_size = shapes[inputs["past_key"]][-1] or steps["key_scale"].size // int(attributes["kv_num_heads"])
        is_whole = bool(head_size) and all(each.size for each in steps.values())
        return cls(node, inputs, attributes, steps, head_size) if is_whole else None

    @property
    def num_heads(self) -> int:
        """Heads of the queries."""
        return int(self.attributes["num_heads"])

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys and values."""
        return int(self.attributes["kv_num_heads"])

    def either(self, constants: _Constants) -> Any:
        """The node that computes one way or the other."""
        from onnx import helper

        return helper.make_node(
            "If",
            [IS_PROMPT],
            list(self.node.output),
            name=self.node.name or self.node.output[0],
            then_branch=self._for_prompts(constants),
            else_branch=self._as_it_was(),
        )

    def _as_it_was(self) -> Any:
        from onnx import helper

        steps = _Steps(f"{self.node.output[0]}/decoded")
        outputs = steps.add(
            _ATTENTION, list(self.node.input), "attended", "key", "value", domain=_MICROSOFT, **self.attributes
        )
        return helper.make_graph(steps.nodes, "decoded", [], _declared(outputs))

    def _for_prompts(self, constants: _Constants) -> Any:
        from onnx import helper

        name = self.node.output[0]
        steps = _Steps(f"{name}/prompt")
        scales = {which: self._scales(f"{which}_scale") for which in ("key", "value")}
        query, key, value = self._in_steps(steps, constants, scales)
        keys, known_keys = self._cached(steps, constants, "key", key)
        values, known_values = self._cached(steps, constants, "value", value)
        none = constants.add("prompt/none", np.empty((1, 0, self.num_kv_heads * self.head_size), np.float32))
        inputs = [query, none, none, known_keys, known_values, self.inputs["last"], TOTAL]
        if self.inputs["sinks"]:
            inputs += ["", "", "", "", self.inputs["sinks"]]
        kept = {which: given for which, given in self.attributes.items() if which not in _CACHE_ATTRIBUTES}
        whole = steps.one(_ATTENTION, inputs, "whole", domain=_MICROSOFT, **kept)
        unscaled = constants.add(f"{name}/result_scale", self._of_queries(scales["value"]))
        attended = steps.one("Mul", [whole, unscaled], "attended")
        return helper.make_graph(steps.nodes, "prompt", [], _declared([attended, keys, values]))

    def _in_steps(
        self, steps: _Steps, constants: _Constants, scales: Mapping[str, npt.NDArray[np.float32]]
    ) -> list[str]:
        """Queries, keys and values [1, tokens, size], turned by their positions.

        Keys and values come in steps of the cache, queries times the steps of the keys.
        """

        def times(x: str, name: str, *factors: npt.NDArray[np.floating]) -> str:
            factor = constants.add(f"{self.node.output[0]}/{name}_factor", np.concatenate(factors).astype(np.float32))
            return steps.one("Mul", [x, factor], f"scaled_{name}")

        of_query = self._of_queries(scales["key"])
        of_key, of_value = (1 / scales[which] for which in ("key", "value"))
        if self.inputs["key"]:
            query = self._turned(steps, constants, self.inputs["query"], "turned_query", self.num_heads)
            key = self._turned(steps, constants, self.inputs["key"], "turned_key", self.num_kv_heads)
            value = times(self.inputs["value"], "value", of_value)
            return [times(query, "query", of_query), times(key, "key", of_key), value]
        pair = self._widths(constants, of_query.size + of_key.size, of_value.size)
        both, value = steps.add("Split", [self.inputs["query"], pair], "both", "value", axis=-1)
        both = self._turned(steps, constants, both, "turned", self.num_heads + self.num_kv_heads)
        both = times(both, "both", of_query, of_key)
        parts = self._widths(constants, of_query.size, of_key.size)
        query, key = steps.add("Split", [both, parts], "query", "key", axis=-1)
        return [query, key, times(value, "value", of_value)]

    @staticmethod
    def _widths(constants: _Constants, *widths: int) -> str:
        return constants.add(f"prompt/{'+'.join(map(str, widths))}", np.array(widths, np.int64))

    def _turned(self, steps: _Steps, constants: _Constants, x: str, name: str, num_heads: int) -> str:
        if not self.attributes.get("do_rotary"):
            return x
        turning = 2 * (constants.shape(self.inputs["cos"]) or (0,))[-1]
        return steps.one(
            "RotaryEmbedding",
            [x, START, self.inputs["cos"], self.inputs["sin"]],
            name,
            domain=_MICROSOFT,
            interleaved=int(self.attributes.get("rotary_interleaved", 0)),
            num_heads=num_heads,
            rotary_embedding_dim=0 if turning == self.head_size else turning,
        )

    def _cached(self, steps: _Steps, constants: _Constants, which: str, x: str) -> tuple[str, str]:
        """Round new keys or values; the cache with them, and what is known in it as floats, in steps of the cache."""
        from onnx import TensorProto

        one, zero = constants.add("prompt/1", np.array(1, np.float32)), constants.add("prompt/0", np.array(0, np.int8))
        first, axis = (constants.add(f"prompt/[{n}]", np.array([n], np.int64)) for n in (0, 2))
        shape = constants.add("prompt/heads", np.array([0, -1, self.num_kv_heads, self.head_size], np.int64))
        rounded = steps.one("QuantizeLinear", [x, one, zero], f"{which}_rounded")
        by_head = steps.one("Reshape", [rounded, shape], f"{which}_heads")
        cache = steps.one("ScatterND", [self.inputs[f"past_{which}"], PLACES, by_head], f"{which}_cache")
        known = steps.one("Slice", [cache, first, END, axis], f"known_{which}")
        return cache, steps.one("Cast", [known], f"float_{which}", to=TensorProto.FLOAT)

    def _scales(self, which: str) -> npt.NDArray[np.float32]:
        """The steps of the cache, [num_kv_heads * head_size]."""
        scales = self.steps[which]
        return np.repeat(scales, self.num_kv_heads * self.head_size) if scales.size == 1 else scales

    def _of_queries(self, scales: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scales of keys' or values' heads for each of the queries' heads, [num_heads * head_size]."""
        by_head = scales.reshape(self.num_kv_heads, self.head_size)
        return np.repeat(by_head, self.num_heads // self.num_kv_heads, axis=0).reshape(-1)


def _declared(names: Sequence[str]) -> list[Any]:
    """Outputs of a branch: what is attended to, and both caches."""
    from onnx import TensorProto, helper

    kinds = (TensorProto.FLOAT, TensorProto.INT8, TensorProto.INT8)
    return [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(names, kinds, strict=True)]
