"""Vectors on another provider than the CPU's."""

from pathlib import Path

import numpy as np
import pytest
from support.openvino import needs_openvino

from obeaver.app.embed import open_encoder
from obeaver.engine.encoding.batches import TokenisedText
from obeaver.models.encoder.layout import read_encoder_facts

pytestmark = [pytest.mark.real, needs_openvino]

NUM_TEXTS = 6
CLOSE = 1e-5
"""A vector has length 1. Unlike on the CPU provider, a text's last digits may depend on what stands beside it."""


def test_the_default_embedding_model_gives_the_same_vectors_alone_and_in_a_batch(default_embedding_model: Path) -> None:
    facts = read_encoder_facts(default_embedding_model)
    random = np.random.default_rng(1)
    texts = [TokenisedText([101, *map(int, random.integers(1000, 20_000, 9 * i + 2)), 102]) for i in range(NUM_TEXTS)]
    expected = open_encoder(facts, 1, "cpu").compute(texts)
    session = open_encoder(facts, 1, "openvino:cpu")
    assert session.placement.provider == "openvino"
    assert session.placement.left_to_cpu == {}
    assert "openvino on cpu (" in session.label
    np.testing.assert_allclose(session.compute(texts), expected, atol=CLOSE)
    np.testing.assert_allclose(np.concatenate([session.compute([text]) for text in texts]), expected, atol=CLOSE)
