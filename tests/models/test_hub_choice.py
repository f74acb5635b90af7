"""What is taken from a repository, by its listing: cases as data."""

import json
from pathlib import Path
from typing import Any

import pytest

from obeaver.errors import ModelError
from obeaver.models.sources.hub_choice import choose, quantisation

CASES = json.loads(Path(__file__).with_name("hub_choices.json").read_text(encoding="utf-8"))


def chosen(case: dict[str, Any]) -> Any:
    files = dict.fromkeys(case["files"], 1_000_000)
    return choose("org/repo", files, case.get("asked"), lambda path: case["configs"][path], memory=case.get("memory"))


@pytest.mark.parametrize("case", CASES["chosen"], ids=lambda case: case["what"])
def test_the_model_in_a_repository_is_found(case: dict[str, Any]) -> None:
    choice = chosen(case)
    assert (choice.form, choice.base) == (case["form"], case["base"])
    assert sorted(choice.paths) == sorted(case["paths"])


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: case["what"])
def test_what_cannot_be_chosen_is_told_with_what_to_do(case: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as raised:
        chosen(case)
    assert "\n" not in str(raised.value)
    for words in case["says"]:
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("x/qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("model-f16.gguf", "F16"),
        ("qwen2.5-0.5b-instruct-fp16.gguf", "F16"),
        ("model.BF16.gguf", "BF16"),
        ("model-IQ4_XS.gguf", "IQ4_XS"),
        ("model-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("Q8_0.gguf", "Q8_0"),
        ("qwen3.gguf", None),
        ("model.gguf", None),
    ],
)
def test_a_quantisation_is_read_from_the_files_name(path: str, kind: str | None) -> None:
    assert quantisation(path) == kind
