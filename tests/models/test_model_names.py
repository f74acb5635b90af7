import re

import pytest

from obeaver.errors import StoreError
from obeaver.models.names import MAX_LENGTH, checked_name, name_from


@pytest.mark.parametrize("name", ["smollm2-135m", "a", "0", "qwen2.5-0.5b", "a_b", "x" * MAX_LENGTH, "console"])
def test_a_plain_name_is_kept(name: str) -> None:
    assert checked_name(name) == name


def test_names_that_differ_in_case_are_one_name() -> None:
    assert checked_name("SmolLM2-135M") == checked_name("smollm2-135m")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "/etc",
            "c:",
            "a..b",
            ".hidden",
            "-rf",
            "a-",
            "a.",
            "a b",
            "a\0",
            "a\n",
        ),
        *("ä", "con", "NUL", "aux.gguf", "com1", "lpt9.x", "x" * (MAX_LENGTH + 1)),
    ],
)
def test_a_name_that_could_lead_astray_is_refused(name: str) -> None:
    with pytest.raises(StoreError, match="cannot be a model's name"):
        checked_name(name)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("My Model (v2)", "my-model-v2-1f2e"),
        ("Qwen2.5-0.5B", "qwen2.5-0.5b-1f2e"),
        ("../../etc/passwd", "etc-passwd-1f2e"),
        ("con.v1", "model-con.v1-1f2e"),
        ("日本", "model-1f2e"),
        ("a...b", "a.b-1f2e"),
    ],
)
def test_a_file_name_becomes_a_name(stem: str, name: str) -> None:
    assert name_from(stem, "1f2e") == name
    assert checked_name(name) == name


def test_a_long_file_name_becomes_a_name_of_allowed_length() -> None:
    assert re.fullmatch(r"x{50,}-1f2e", checked_name(name_from("x" * 500, "1f2e")))
    assert checked_name(name_from("con." + "x" * 500, "1f2e")).startswith("model-con.x")
