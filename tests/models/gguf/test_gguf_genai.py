"""onnxruntime-genai loads what the import writes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime_genai as og
import pytest
from reference.forward import Reference
from reference.tiny_gguf import ARCHITECTURES, TinyGguf

from obeaver.processor import EXACT_BYTE_PRODUCTS, byte_products_overflow

ImportTiny = Callable[..., Path]


def greedy(folder: Path, prompt: list[int], count: int) -> list[int]:
    config = og.Config(str(folder))
    if byte_products_overflow():
        config.overlay(json.dumps({"model": {"decoder": {"session_options": {EXACT_BYTE_PRODUCTS: "1"}}}}))
    model = og.Model(config)
    params = og.GeneratorParams(model)
    params.set_search_options(max_length=len(prompt) + count, min_length=len(prompt) + count, do_sample=False)
    generator = og.Generator(model, params)
    generator.append_tokens(np.array(prompt, np.int32))
    while not generator.is_done():
        generator.generate_next_token()
    return [int(n) for n in generator.get_sequence(0)][len(prompt) :]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_onnxruntime_genai_generates_what_the_reference_generates(
    import_tiny: ImportTiny, token_ids: list[int], architecture: str
) -> None:
    folder = import_tiny(TinyGguf(architecture, "Q8_0"))
    assert greedy(folder, token_ids[:20], 12) == Reference(folder.parent / "source.gguf").greedy(token_ids[:20], 12)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("weights", "kv"), [("int8", "int8"), ("int8", "float32"), ("int4", "int8")])
def test_onnxruntime_genai_takes_every_format(
    import_tiny: ImportTiny, token_ids: list[int], architecture: str, weights: str, kv: str
) -> None:
    # Weights of this type are so small beside the embedding that the likeliest token is clear of all rounding.
    folder = import_tiny(TinyGguf(architecture, "Q4_K"), weights=weights, kv=kv)
    assert greedy(folder, token_ids[:20], 6) == Reference(folder.parent / "source.gguf").greedy(token_ids[:20], 6)
