"""A mixture of experts: a small matrix scores them for each token, and the likeliest are computed and added up.

Their shares are the softmax over the scores of those that were chosen. Where a family takes the softmax over all and
divides by the sum of the chosen, that is the same.
"""

from collections.abc import Mapping
from typing import Any, Final

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
    shape = parameters.array("expert_scores", np.array([-1, experts.count], np.int64))
    scores = parameters.scores(nodes, f"{prefix}.{ROUTER}", x, f"{prefix}.{ROUTER}")
    rows = nodes.one(f"{prefix}.expert_scores", "Reshape", scores, shape)
    attributes: dict[str, Any] = {
        "k": experts.used,
        "activation_type": "swiglu",
        "swiglu_fusion": 1,
        "normalize_routing_weights": 1,
        **_ACTIVATIONS[model.family.activation],
    }
    added = parameters.experts(nodes, f"{prefix}.experts", x, rows, prefix, attributes)
    factor = experts.scale * model.residual_scale
    if factor == 1:
        return added
    return nodes.one(
        f"{prefix}.scaled_experts", "Mul", added, parameters.array("expert_scale", np.array(factor, np.float32))
    )
