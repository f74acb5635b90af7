"""Settings: what flags and variables mean."""

import pytest

from obeaver.cli.parser import build_parser
from obeaver.config import Settings, duration, load_settings
from obeaver.errors import CommandError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("30s", 30), ("10m", 600), ("1.5h", 5400), ("1D", 86400), ("0", 0), ("never", 0), ("Never", 0)],
)
def test_a_time_is_told_with_or_without_its_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1", "10 m", "ten", "1e3", "inf", "10mm", "10m5s", "9" * 400])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s, 10m or 1h"):
        duration(text)


def test_a_models_keep_alive_and_a_streams_are_two_options() -> None:
    flags = vars(build_parser().parse_args(["serve", "--keep-alive", "10m", "--stream-keep-alive", "2"]))
    environ = {"OBEAVER_KEEP_ALIVE": "1h", "OBEAVER_STREAM_KEEP_ALIVE": "3"}
    by_flag, by_environment = load_settings(flags, environ), load_settings({}, environ)
    assert (by_flag.keep_alive_s, by_flag.stream_keep_alive_s) == (600, 2)
    assert (by_environment.keep_alive_s, by_environment.stream_keep_alive_s) == (3600, 3)
    assert (Settings().keep_alive_s, Settings().stream_keep_alive_s) == (0, 10)


def test_a_time_that_is_none_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="OBEAVER_KEEP_ALIVE must be a time such as 30s, 10m or 1h, or never"):
        load_settings({}, {"OBEAVER_KEEP_ALIVE": "soon"})
    with pytest.raises(SystemExit):
        build_parser().parse_args(["serve", "--keep-alive", "soon"])
    assert "--keep-alive: must be a time such as 30s, 10m or 1h, or never" in capsys.readouterr().err


def test_serve_takes_several_models() -> None:
    assert build_parser().parse_args(["serve"]).models == []
    assert build_parser().parse_args(["serve", "one", "--port", "0", "two"]).models == ["one", "two"]
