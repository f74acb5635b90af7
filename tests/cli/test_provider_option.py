"""`--provider`, in every command that loads a model: what is not here is told before a model is looked for."""

from pathlib import Path

import pytest

from obeaver.cli import main

COMMANDS = [
    ["serve", "--port", "0"],
    ["serve-embed", "--port", "0"],
    ["run", "Why?"],
    ["embed", "some text"],
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBEAVER_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_provider_that_is_not_here_is_one_line_and_status_1(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--offline", "--provider", "abacus"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no execution provider abacus here; there are: cpu" in line


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_the_environment_names_a_provider_too(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OBEAVER_PROVIDER", "abacus")
    assert main([*command, "--offline"]) == 1
    assert "no execution provider abacus here" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_help_tells_of_the_option(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command[0], "--help"])
    assert ended.value.code == 0
    assert "--provider NAME" in capsys.readouterr().out
