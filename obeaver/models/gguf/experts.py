"""A mixture of experts: a small matrix scores them for each token, and the likeliest are computed and added up.

Their shares are the softmax over the scores of those that were chosen. Where a family takes the softmax over all and
divides by the sum of the chosen, that is the same.

onnxruntime's operators compute only the chosen experts' rows, but add up a token's experts in an order that depends on
what other tokens chose. So each token goes in once for each of its experts, as a row with that expert alone, and the
rows are weighted and added up here: the same work, and the same bits beside whatever other tokens.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from obeaver.models.gguf.architecture import Architecture, Experts
from obeaver.models.gguf.graph import LayerParameters, Nodes
from obeaver.models.gguf.tensors import ROUTER

# onnxruntime's names for what `Family.activation` names. Its kernels take gate and up as alternating rows.
_ACTIVATIONS: Final[Mapping[str, Mapping[str, float]]] = {
    "silu": {"activation_alpha": 1.0, "activation_beta": 0.0},
    "clamped swiglu": {"activation_alpha": 1.702, "activation_beta": 1.0, "swiglu_limit": 7.0},
}


def mixture_of_experts(
    model: Architecture, experts: Experts, nodes: Nodes, parameters: LayerParameters, prefix: str, x: str
) -> str:
    """Append the experts of one layer; returns what they add."""
    scores = parameters.scores(nodes, f"{prefix}.{ROUTER}", x, f"{prefix}.{ROUTER}")
    shares, chosen = _choice(experts, nodes, parameters, prefix, scores)
    attributes = {
        "k": 1,
        "activation_type": "swiglu",
        "swiglu_fusion": 1,
        "normalize_routing_weights": 1,
        **_ACTIVATIONS[model.family.activation],
    }
    rows = _repeated(model, experts, nodes, parameters, prefix, x)
    outputs = parameters.experts(nodes, f"{prefix}.experts", rows, chosen, prefix, attributes)
    return _sum(model, experts, nodes, parameters, prefix, outputs, shares, x)


def _choice(experts: Experts, nodes: Nodes, parameters: LayerParameters, prefix: str, scores: str) -> tuple[str, str]:
    """Shares [tokens, used, 1], and for each row of a token and one of its experts, which: [tokens * used, experts]."""

    def sizes(name: str, *values: int) -> str:
        return parameters.array(f"expert_{name}", np.array(values, np.int64))

    flat = nodes.one(f"{prefix}.scores", "Reshape", scores, sizes("scores", -1, experts.count))
    best, which = nodes.add(f"{prefix}.best", "TopK", [flat, sizes("count", experts.used)], outputs=2, axis=-1)
    shares = nodes.one(f"{prefix}.shares", "Softmax", best, axis=-1)
    column = nodes.one(f"{prefix}.shares.column", "Unsqueeze", shares, sizes("last", -1))
    ends = parameters.array("expert_ends", np.array([0, 1], np.float32))
    marks = nodes.one(f"{prefix}.marks", "OneHot", which, sizes("depth", experts.count), ends, axis=-1)
    return column, nodes.one(f"{prefix}.chosen", "Reshape", marks, sizes("scores", -1, experts.count))


def _repeated(
    model: Architecture, experts: Experts, nodes: Nodes, parameters: LayerParameters, prefix: str, x: str
) -> str:
    """Each token as often as it has experts: [tokens * used, hidden_size]."""
    single = parameters.array("expert_single", np.array([-1, 1, model.hidden_size], np.int64))
    times = parameters.array("expert_times", np.array([1, experts.used, 1], np.int64))
    rows = parameters.array("expert_rows", np.array([-1, model.hidden_size], np.int64))
    tiled = nodes.one(f"{prefix}.tiled", "Tile", nodes.one(f"{prefix}.single", "Reshape", x, single), times)
    return nodes.one(f"{prefix}.expert_rows", "Reshape", tiled, rows)


def _sum(
    model: Architecture,
    experts: Experts,
    nodes: Nodes,
    parameters: LayerParameters,
    prefix: str,
    outputs: str,
    shares: str,
    x: str,
) -> str:
    by_token = parameters.array("expert_by_token", np.array([-1, experts.used, model.hidden_size], np.int64))
    grouped = nodes.one(f"{prefix}.expert_outputs", "Reshape", outputs, by_token)
    weighted = nodes.one(f"{prefix}.weighted_experts", "Mul", grouped, shares)
    axis = parameters.array("expert_axis", np.array([1], np.int64))
    added = nodes.one(f"{prefix}.summed_experts", "ReduceSum", weighted, axis, keepdims=0)
    shape = nodes.one(f"{prefix}.expert_shape", "Shape", x)
    added = nodes.one(f"{prefix}.added_experts", "Reshape", added, shape)
    if model.residual_scale == 1:
        return added
    scale = parameters.array("expert_scale", np.array(model.residual_scale, np.float32))
    return nodes.one(f"{prefix}.scaled_experts", "Mul", added, scale)
