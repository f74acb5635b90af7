"""Norms of heads that only the largest models of a family have: against the independent forward pass."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from reference.forward import Reference
from reference.tiny_gguf import TinyGguf

from obeaver.models.fidelity import folder_logits

TEXT = [int(n) for n in np.random.default_rng(7).integers(0, 261, 96)]


def test_command_r_may_norm_each_head(import_tiny: Callable[..., Path]) -> None:
    """As its models of 64 layers and more do, with weights of each head's own."""
    random, layers = np.random.default_rng(11), 2
    weights = {
        f"blk.{layer}.attn_{which}_norm.weight": random.uniform(0.5, 1.5, (heads, 32)).astype(np.float32)
        for layer in range(layers)
        for which, heads in (("q", 4), ("k", 2))
    }
    folder = import_tiny(
        TinyGguf("command-r", layers=layers, hidden=128, ffn=96, head_dim=32, context=128, vectors=weights)
    )
    expected = Reference(folder.parent / "source.gguf").logits(TEXT)
    found = np.concatenate(list(folder_logits(folder / "model.onnx", TEXT)))
    assert np.abs(found - expected).max() < 1e-5
