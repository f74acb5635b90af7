"""`python -m benchmarks` and its two companions: what they refuse, and how."""

import json
from pathlib import Path

import pytest
from support.chat_app import make_model

from benchmarks.__main__ import main
from benchmarks.options import GROUPS, Options
from benchmarks.results.document import Metric, Results, Row
from obeaver.models.store import Store

ENVIRONMENT = {
    "processor": "p",
    "cores": 2,
    "memory_gb": 1.0,
    "system": "s",
    "python": "3",
    "packages": {},
    "commit": None,
    "models": {},
}


def written(path: Path, *values: float) -> Path:
    row = Row(
        Metric("decode-1.rate", "decode", "tok/s"), "streams", "ours", rounds=[{"ours": value} for value in values]
    )
    Results({}, ENVIRONMENT, "2026-01-01T00:00:00+00:00", rows=[row]).write(path)
    return path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--peer", "nowhere"], "must be NAME=URL"),
        (["--peer", "name=ftp://host"], "must be NAME=URL"),
        (["--rounds", "0"], "must be a whole number, at least 1"),
        (["--budget", "-1"], "must be a positive number"),
        (["--runner", "other"], "invalid choice"),
        (["compare", "one.json"], "after"),
        (["watchers", "--rounds", "0"], "must be a whole number, at least 1"),
    ],
)
def test_wrong_usage_ends_with_status_2_and_says_what_is_meant(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_help_names_every_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert [name for name in GROUPS if f"  {name} " not in printed] == []


def test_comparing_says_what_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = written(tmp_path / "a.json", 10.0, 10.1, 9.9), written(tmp_path / "b.json", 5.0, 5.1, 4.9)
    assert main(["compare", str(before), str(after)]) == 0
    assert "worse: 1" in capsys.readouterr().out
    assert main(["compare", str(before), str(after), "--fail-on-worse"]) == 1
    assert main(["compare", str(after), str(before), "--fail-on-worse"]) == 0
    assert main(["compare", str(before), str(after), "--fail-on-worse", "--floor", "60"]) == 0


def test_comparing_a_file_of_another_kind_is_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"rows": []}))
    assert main(["compare", str(other), str(other)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"error: {other} is not the results of a run")


def test_runs_that_share_no_row_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = tmp_path / "nothing.json"
    Results({}, ENVIRONMENT, "").write(nothing)
    assert main(["compare", str(nothing), str(written(tmp_path / "a.json", 1.0))]) == 1
    assert "no row in common" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "group", "question", "wanted"),
    [
        (Options(), "context", "decode-at-1024", True),
        (Options(quick=True), "context", "decode-at-1024", False),
        (Options(quick=True), "streams", "decode-1", True),
        (Options(only=("context",)), "context", "decode-at-1024", True),
        (Options(only=("decode-at",)), "context", "decode-at-1024", True),
        (Options(only=("decode-1",)), "streams", "decode-16", False),
        (Options(only=("decode",)), "streams", "decode-16", True),
        (Options(quick=True, only=("context",)), "context", "decode-at-1024", True),
    ],
)
def test_questions_are_chosen_by_group_or_by_the_first_words_of_their_name(
    options: Options, group: str, question: str, wanted: bool
) -> None:
    assert options.wants(group, question) is wanted


@pytest.mark.parametrize("context", [8192, 32_768])
def test_long_contexts_are_asked_about_where_the_model_has_them(
    context: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model(Store(tmp_path), "far", context=context)
    assert main(["--list", "--only", "context", "--model", str(model.folder)]) == 0
    asked = {line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert {"prefill-7500-tokens", "decode-at-4096"} <= asked
    assert ({"prefill-16000-tokens", "decode-at-16000"} <= asked) is (context > 16_000)
