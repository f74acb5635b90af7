import io

import pytest

from obeaver.models.progress import PLAIN_INTERVAL_S, SilentProgress, TerminalProgress, amount


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_elsewhere_than_on_a_terminal_a_stage_is_a_line_now_and_then() -> None:
    stream, clock = io.StringIO(), Clock()
    with TerminalProgress(stream, clock=clock).stage("download", 4_000_000) as stage:
        stage.advance(1_000_000)
        clock.now_s = PLAIN_INTERVAL_S
        stage.advance(1_000_000)
        stage.advance(1_000_000)
        clock.now_s += 0.5
        stage.advance(1_000_000)
    assert stream.getvalue().splitlines() == [
        "download …",
        "download: 2.0 MB of 4.0 MB, 50 %, 400.0 kB/s, 5 s left",
        "download: done, 4.0 MB in 5.5 s",
    ]


def test_what_was_done_before_counts_for_the_total_and_not_for_the_rate() -> None:
    stream, clock = io.StringIO(), Clock()
    with TerminalProgress(stream, clock=clock).stage("download", 4_000_000, done=2_000_000) as stage:
        clock.now_s = PLAIN_INTERVAL_S
        stage.advance(1_000_000)
        stage.advance(1_000_000)
    assert stream.getvalue().splitlines() == [
        "download …",
        "download: 3.0 MB of 4.0 MB, 75 %, 200.0 kB/s, 5 s left",
        "download: done, 2.0 MB in 5.0 s",
    ]


def test_a_note_stands_above_the_bar_that_runs() -> None:
    stream = Terminal()
    progress = TerminalProgress(stream)
    with progress.stage("download", 2_000_000, done=1_000_000) as stage:
        progress.note("the server failed")
        stage.advance(1_000_000)
    assert "the server failed\n" in stream.getvalue()
    assert "download:  50%" in stream.getvalue()


def test_a_stage_of_unknown_length_says_what_is_done() -> None:
    stream, clock = io.StringIO(), Clock()
    with TerminalProgress(stream, clock=clock).stage("layers", None, unit="layers") as stage:
        clock.now_s = PLAIN_INTERVAL_S
        stage.advance(3)
    assert stream.getvalue().splitlines()[1:] == ["layers: 3 layers", "layers: done, 3 layers in 5.0 s"]


def test_a_stage_that_fails_is_not_called_done() -> None:
    stream = io.StringIO()
    with pytest.raises(RuntimeError, match="boom"), TerminalProgress(stream).stage("download", 1):
        raise RuntimeError("boom")
    assert stream.getvalue() == "download …\n"


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    with TerminalProgress(stream).stage("download", 2_000_000) as stage:
        stage.advance(2_000_000)
    assert "download: 100%" in stream.getvalue()
    assert "2.00M/2.00M" in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_a_note_is_a_line(stream: io.StringIO) -> None:
    TerminalProgress(stream).note("waiting")
    assert stream.getvalue() == "waiting\n"


def test_standard_error_is_where_it_goes_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    TerminalProgress().note("waiting")
    assert capsys.readouterr() == ("", "waiting\n")


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    progress = SilentProgress()
    progress.note("waiting")
    with progress.stage("download", None) as stage:
        stage.advance(1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("n", "unit", "text"),
    [
        (0, "B", "0 B"),
        (999, "B", "999 B"),
        (1000, "B", "1.0 kB"),
        (98_362_432, "B", "98.4 MB"),
        (7 * 10**9, "B", "7.0 GB"),
        (2048, "token", "2048 token"),
        (134_515_008, "weight", "134.5 M weight"),
    ],
)
def test_amounts_read_well(n: int, unit: str, text: str) -> None:
    assert amount(n, unit) == text
