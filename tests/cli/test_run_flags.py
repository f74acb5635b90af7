"""`obeaver run`'s command line."""

import argparse
import io

import pytest

from obeaver.api.contract.validation import request_schema
from obeaver.cli.chat.sampling_flags import add_sampling_flags, given_sampling
from obeaver.cli.parser import build_parser


def parse(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(["run", *words])


@pytest.mark.parametrize(
    "words",
    [
        ("mine", "--seed", "7", "Why?", "Really?"),
        ("--seed", "7", "mine", "Why?", "Really?"),
        ("mine", "Why?", "Really?", "--seed", "7"),
    ],
)
def test_words_and_flags_come_in_any_order(words: tuple[str, ...]) -> None:
    arguments = parse(*words)
    assert arguments.words == ["mine", "Why?", "Really?"]
    assert arguments.seed == 7


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("mine", "--sede", "7", "Why?")
    assert ended.value.code == 2
    assert "unrecognized arguments: --sede" in capsys.readouterr().err


def test_other_commands_take_flags_before_and_after_their_words_as_ever() -> None:
    arguments = build_parser().parse_args(["import", "--weights", "int4", "model.gguf", "--name", "mine"])
    assert (arguments.file, arguments.weights, arguments.name) == ("model.gguf", "int4", "mine")
    assert build_parser().parse_args(["serve", "--port", "1", "mine"]).models == ["mine"]


def test_only_the_given_parameters_become_part_of_a_request() -> None:
    assert given_sampling(parse()) == {}
    given = given_sampling(parse("--temperature", "0", "--top-k", "5", "--reasoning-effort", "low"))
    assert given == {"temperature": 0.0, "top_k": 5, "reasoning_effort": "low"}


def test_help_shows_the_defaults_of_the_requests_schema() -> None:
    parser = argparse.ArgumentParser()
    add_sampling_flags(parser)
    shown = io.StringIO()
    parser.print_help(shown)
    text = " ".join(shown.getvalue().split())
    for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens"):
        default = request_schema("chat_completion").document["properties"][name]["default"]
        _, _, rest = text.partition(f"--{name.replace('_', '-')} N ".replace("  ", " "))
        assert f"(default: {default})" in rest
