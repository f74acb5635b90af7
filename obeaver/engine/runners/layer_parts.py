"""Computing a chunk of a prompt part by part: some layers now, the next ones in a later run.

Streams wait while a chunk is computed, and far back even a few tokens take long: each layer takes the whole past apart.
So a graph is cut into parts of equally many layers, and between two parts what comes out of the one is joined with what
is given to the next:

    ids -> embedding -> part 0 -> all or none -> join -> part 1 -> all or none -> join -> part 2 -> ... -> norm, head
                                                  |                                |
                                     what a run before left, or none  -------------+

All parts in one run, as for what is decoded, pass all of their tokens on and are given none between them: the graph as
it stood, to the bit, for what it takes to copy them twice. A run of some parts is given what the run before left, and
the parts before and behind compute no token, which takes some microseconds a node. (ONNX Runtime runs the nodes behind
whatever is asked of it.) Attention of prompts takes the whole past apart also for no token: there an `If` skips it.

By measurement with a model of 135M parameters, behind 7,900 tokens, two cores: 24 tokens took 137 ms in one run and 34,
38, 34 and 39 in four. (Parts that were `If`s themselves made a run of one token 4 % longer, and one of eight rows 7 %.)
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

NUM_PARTS: Final = 4
GIVEN: Final = "given."
KEPT: Final = "kept."
PARTS: Final = "parts."

_PRODUCT: Final = "MatMul"
_NORM: Final = "LayerNormalization"
_MOST_CROSSING: Final = 2
"""Tensors that a norm adds up: the residual stream, and what is still to be added to it."""
_ROWS_TOKENS: Final = ("rows", "tokens")
"""Dimensions of ids; the first ones of whatever else there is for each token."""
_TOKENS: Final = ("input_ids", "position_ids")
"""Inputs that have a place for each token of a run."""
_MOST_SIZES: Final = 8
"""Dimensions of a shape, or pieces of a split."""
_FIRST: Final = "parts/first"
_OF_TOKENS: Final = "parts/of_tokens"
_NOT_CACHED: Final = "parts/not_cached"
TAKE_NONE: Final = frozenset(
    {
        *("Abs", "Add", "Cast", "Concat", "ConstantOfShape", "Div", "FastGelu", "FusedMatMul", "Gather", "Gelu", "If"),
        *("LayerNormalization", "MatMul", "MatMulIntegerToFloat", "MatMulNBits", "Mul", "OneHot", "Pad", "QMoE"),
        *("QuantizeLinear", "QuickGelu", "ReduceMax", "ReduceSum", "Reshape", "RotaryEmbedding", "Shape", "Sigmoid"),
        *("SimplifiedLayerNormalization", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "Slice"),
        *("Softmax", "Split", "Sub", "Tanh", "Tile", "TopK", "Unsqueeze"),
    }
)
"""What may stand behind a graph's first product, since it takes tensors without elements."""


class Layer(NamedTuple):
    """A layer's attention: the name of the keys that it gives, and how wide what it attends to is."""

    keys: str
    width: int


def computes_input(part: int) -> str:
    """Name of the input that says whether a part's prompts are computed, a boolean."""
    return f"{PARTS}{part}"


def hidden_output(part: int, index: int) -> str:
    """Name of an output: a tensor behind a part, [rows, num_tokens, width]."""
    return f"hidden.{part}.{index}"


def given_input(part: int, index: int) -> str:
    """Name of an input: a tensor that a run before left in front of a part but the first, [rows, num_tokens, width]."""
    return f"{GIVEN}{part}.{index}"


def kept_input(part: int) -> str:
    """Name of the input that says how many tokens the part before passes on to a part but the first, [1]."""
    return f"{KEPT}{part}"


def layers_of(num_layers: int, parts: range) -> range:
    """The layers of some parts."""
    return range(num_layers * parts.start // NUM_PARTS, num_layers * parts.stop // NUM_PARTS)


def cut_into_parts(graph: Any, layers: Sequence[Layer]) -> bool:
    """Cut a decoder graph, in place, if it can be: each node after those it needs, and little between two layers.

    Args:
        graph: Its attentions, each an `If` whose then-branch is for prompts, give the `layers`, in order.
        layers: What they give.

    Returns:
        Whether it was cut; if not, it is as it was.
    """
    cut = _Cut.of(graph, layers)
    if cut is not None:
        cut.rewrite(graph, layers)
    return cut is not None


class _Cut(NamedTuple):
    """Where a graph is cut.

    Attributes:
        starts: Places of the nodes with which the parts begin; the first one begins behind what `front` is.
        crossings: Names of what passes between two parts.
        width: Of each of these tensors.
        front: For each part but the first, names of what stands before all layers, depends on how many tokens there
            are, and is needed in that part.
        shapes: What tensors are reshaped to, by the name of the result, where it has to be told in other words so that
            it holds for no token too; an empty one for the shape of another tensor.
    """

    starts: Sequence[int]
    crossings: Sequence[Sequence[str]]
    width: int
    front: Sequence[frozenset[str]]
    shapes: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, graph: Any, layers: Sequence[Layer]) -> "_Cut | None":
        """Where it can be cut; None where it cannot."""
        nodes = list(graph.node)
        attentions = [_producer(nodes, layer.keys) for layer in layers]
        first = next((place for place, node in enumerate(nodes) if node.op_type.startswith(_PRODUCT)), None)
        if len(layers) < NUM_PARTS or first is None or attentions != sorted(set(attentions)) or first > attentions[0]:
            return None
        (ids,) = (value.type.tensor_type.shape.dim for value in graph.input if value.name == "input_ids")
        if len(ids) != len(_ROWS_TOKENS) or any(nodes[place].op_type != "If" for place in attentions):
            return None
        outputs = {value.name for value in graph.output}
        widths = {tensor.name: tensor.dims[0] for tensor in graph.initializer if len(tensor.dims) == 1}
        starts, crossings, known_width = [first], list[list[str]](), 0
        for part in range(NUM_PARTS - 1):
            end = layers_of(len(layers), range(part, part + 1)).stop
            between = range(attentions[end - 1] + 1, attentions[end] + 1)
            start, crossing = _before_norm(nodes, starts[-1], between, outputs)
            width = widths.get(nodes[start].input[-1]) if crossing else None
            if width is None or width != (known_width or width) or (crossings and len(crossing) != len(crossings[0])):
                return None
            known_width = width
            starts.append(start)
            crossings.append(crossing)
        ends = [*starts[1:], len(nodes)]
        if any(_consumed(nodes[ends[part] :], nodes[first : starts[part]]) - outputs for part in range(1, NUM_PARTS)):
            return None
        counted = [_counting_tokens(nodes[:first], nodes[start:end]) for start, end in zip(starts, ends, strict=True)]
        front = [names for names in counted[1:] if names is not None]
        shapes = _shapes_of_none(graph, nodes[first:])
        if shapes is None or len(front) < NUM_PARTS - 1 or not {node.op_type for node in nodes[first:]} <= TAKE_NONE:
            return None
        return cls(starts, crossings, known_width, front, shapes)

    def rewrite(self, graph: Any, layers: Sequence[Layer]) -> None:
        """Cut the graph, in place."""
        import numpy as np
        from onnx import TensorProto, helper, numpy_helper

        nodes = list(graph.node)
        (ids,) = (value for value in graph.input if value.name == "input_ids")
        rows, tokens = (size.dim_param or None for size in ids.type.tensor_type.shape.dim)
        attentions = {layer.keys: (part, layer.width) for part, layer in _by_part(layers)}
        rewritten, names = list(nodes[: self.starts[0]]), dict[str, str]()
        for part, (start, end) in enumerate(zip(self.starts, [*self.starts[1:], len(nodes)], strict=True)):
            if part:
                tokens = f"tokens.{part}"
                joining, names = self._join(graph, part, [rows, tokens, self.width])
                rewritten += [*joining, *self._front_again(nodes[: self.starts[0]], part, names)]
            for index, name in enumerate(self.crossings[part] if part < len(self.crossings) else ()):
                names[name] = hidden_output(part, index)
                shape = [rows, tokens, self.width]
                graph.output.append(helper.make_tensor_value_info(names[name], TensorProto.FLOAT, shape))
            for node in nodes[start:end]:
                renamed = _with_names(node, names)
                if node.output[0] in self.shapes:
                    graph.initializer.extend(_reshape(renamed, self.shapes[node.output[0]]))
                for keys in attentions.keys() & set(node.output):
                    _make_skippable(renamed, *attentions[keys])
                rewritten.append(renamed)
            graph.input.append(helper.make_tensor_value_info(computes_input(part), TensorProto.BOOL, []))
        del graph.node[:]
        graph.node.extend(rewritten)
        constants = {_NOT_CACHED: np.empty(0, np.int8), _FIRST: np.array([0]), _OF_TOKENS: np.array([1])}
        graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
        graph.initializer.extend(
            numpy_helper.from_array(np.empty((1, 0, width), np.float32), _not_attended(width))
            for width in sorted({layer.width for layer in layers})
        )

    def _join(self, graph: Any, part: int, shape: Sequence[Any]) -> tuple[list[Any], dict[str, str]]:
        """Nodes that give to a part what it is given, beside what the part before passes on; and what is called how.

        Args:
            graph: Gets the inputs.
            part: Not the first.
            shape: Of what is joined. Only where shapes are known can onnxruntime let a node write where another has
                read.
        """
        from onnx import TensorProto, helper

        nodes, names = list[Any](), dict[str, str]()
        graph.input.append(helper.make_tensor_value_info(kept_input(part), TensorProto.INT64, [1]))
        for index, name in enumerate(self.crossings[part - 1]):
            given, passed, names[name] = given_input(part, index), f"passed.{part}.{index}", f"joined.{part}.{index}"
            inputs = [hidden_output(part - 1, index), _FIRST, kept_input(part), _OF_TOKENS]
            nodes.append(helper.make_node("Slice", inputs, [passed], name=passed))
            nodes.append(helper.make_node("Concat", [passed, given], [names[name]], name=names[name], axis=1))
            of_given = [shape[0], f"tokens.given.{part}", shape[-1]]
            graph.input.append(helper.make_tensor_value_info(given, TensorProto.FLOAT, of_given))
            graph.value_info.append(helper.make_tensor_value_info(names[name], TensorProto.FLOAT, shape))
        return nodes, names

    def _front_again(self, nodes: Sequence[Any], part: int, names: dict[str, str]) -> Iterator[Any]:
        """What counts tokens, made once more from those of a part; and what is called so now."""
        like = next(iter(names.values()))
        for node in nodes:
            if self.front[part - 1].isdisjoint(node.output):
                continue
            names |= {name: f"{name}/{part}" for name in node.output}
            again = _with_names(node, names)
            if node.op_type == "Shape":
                again.input[0] = like
            again.name = f"{node.name}/{part}"
            yield again


def _not_attended(width: int) -> str:
    return f"parts/not_attended.{width}"


def _by_part(layers: Sequence[Layer]) -> Iterator[tuple[int, Layer]]:
    for part in range(NUM_PARTS):
        for layer in layers_of(len(layers), range(part, part + 1)):
            yield part, layers[layer]


def _producer(nodes: Sequence[Any], name: str) -> int:
    return next((place for place, node in enumerate(nodes) if name in node.output), -1)


def _before_norm(nodes: Sequence[Any], start: int, places: range, outputs: set[str]) -> tuple[int, list[str]]:
    """The last place at which a norm reads all that nodes from `start` on have for those behind; and what."""
    for place in reversed(places):
        node = nodes[place]
        if node.op_type.endswith(_NORM):
            crossing = sorted(_consumed(nodes[place:], nodes[start:place]) - outputs)
            if crossing and set(crossing) <= set(node.input[:_MOST_CROSSING]):
                return place, crossing
    return -1, []


def _counting_tokens(front: Sequence[Any], part: Sequence[Any]) -> frozenset[str] | None:
    """What a part needs of the front that has as many elements as there are tokens, and what that is made of.

    None where it is made of more than their number: of what the tokens are, or where they stand.
    """
    of_tokens, counting = set(_TOKENS), dict[str, frozenset[str]]()
    for node in front:
        if not of_tokens.isdisjoint(_needed(node)):
            of_tokens.update(node.output)
            counted = _counted(node, of_tokens, counting)
            if counted is not None:
                counting.update(dict.fromkeys(node.output, counted))
    needed = {name for node in part for name in _needed(node)} & of_tokens
    if not needed <= counting.keys():
        return None
    return frozenset().union(*(counting[name] for name in needed))


def _counted(node: Any, of_tokens: set[str], counting: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """Names that a node's outputs are made of, if nothing but the number of rows and tokens is needed for them."""
    own = frozenset(node.output)
    if node.op_type == "Shape":
        limits = {attribute.name: attribute.i for attribute in node.attribute}
        return own if 0 <= limits.get("start", 0) < limits.get("end", -1) <= len(_ROWS_TOKENS) else None
    needed = of_tokens.intersection(_needed(node))
    return own.union(*(counting[name] for name in needed)) if needed <= counting.keys() else None


def _shapes_of_none(graph: Any, nodes: Sequence[Any]) -> dict[str, list[int]] | None:
    """As `_Cut.shapes`; None where it is not known what a tensor is reshaped to.

    A shape may copy the tokens' dimension and leave the last one open, which cannot be told where there is no token.
    """
    from onnx import numpy_helper

    small = {
        tensor.name: numpy_helper.to_array(tensor).tolist()
        for tensor in graph.initializer
        if len(tensor.dims) == 1 and tensor.dims[0] <= _MOST_SIZES and not tensor.external_data
    }
    shapes_of = {name for node in nodes if node.op_type == "Shape" for name in node.output}
    found, num_elements = dict[str, list[int]](), dict[str, int]()
    for node in nodes:
        given = num_elements.get(node.input[0]) if node.input else None
        if node.op_type == "Split" and len(node.input) > 1 and node.input[1] in small:
            num_elements.update(zip(node.output, small[node.input[1]], strict=True))
        elif given is not None and node.op_type.endswith(("Reshape", "RotaryEmbedding", _NORM)):
            num_elements[node.output[0]] = given
        if node.op_type != "Reshape":
            continue
        shape = small.get(node.input[1])
        if shape is None:
            if node.input[1] not in shapes_of:
                return None
            found[node.output[0]] = []
        elif -1 in shape and 0 in shape[1:]:
            known = [size for size in shape if size > 0]
            if given is None or shape[:2] != [0, 0]:
                return None
            found[node.output[0]] = [given // math.prod(known) if size == -1 else size for size in shape]
    return found


def _reshape(node: Any, shape: Sequence[int]) -> Iterator[Any]:
    """Let a node reshape to this, or to another tensor's shape as it is; what that needs."""
    import numpy as np
    from onnx import helper, numpy_helper

    if shape:
        node.input[1] = f"{node.output[0]}/shape"
        yield numpy_helper.from_array(np.array(shape, np.int64), node.input[1])
    else:
        node.attribute.append(helper.make_attribute("allowzero", 1))


def _consumed(consumers: Sequence[Any], producers: Sequence[Any]) -> set[str]:
    made = {name for node in producers for name in node.output if name}
    return made & {name for node in consumers for name in _needed(node)}


def _needed(node: Any) -> Iterator[str]:
    """Names that a node reads, branches included."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _needed(inner)


def _make_skippable(attention: Any, part: int, width: int) -> None:
    """Let the branch for prompts be computed or not."""
    from onnx import helper

    (branch,) = (attribute.g for attribute in attention.attribute if attribute.name == "then_branch")
    given = [_not_attended(width), _NOT_CACHED, _NOT_CACHED]
    kinds = [output.type.tensor_type.elem_type for output in branch.output]

    def declared(suffix: str) -> list[Any]:
        names = [f"{output.name}/{suffix}" for output in branch.output]
        return [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(names, kinds, strict=True)]

    skipped, chosen = declared("skipped"), declared("chosen")
    skip = [helper.make_node("Identity", [name], [out.name]) for name, out in zip(given, skipped, strict=True)]
    choice = helper.make_node(
        "If",
        [computes_input(part)],
        [out.name for out in chosen],
        name=f"{attention.name}/{computes_input(part)}",
        then_branch=branch,
        else_branch=helper.make_graph(skip, "skipped", [], skipped),
    )
    branch.CopyFrom(helper.make_graph([choice], "chosen", [], chosen))


def _with_names(node: Any, names: Mapping[str, str]) -> Any:
    """A copy that calls by their new names what has one."""
    import onnx

    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    for given in (copied.input, copied.output):
        for place, name in enumerate(given):
            given[place] = names.get(name, name)
    for attribute in copied.attribute:
        for each in attribute.g.node:
            each.CopyFrom(_with_names(each, names))
    return copied
