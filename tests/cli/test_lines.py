"""Where questions are read from."""

import io
import stat
from importlib import util
from pathlib import Path

import pytest
from support.terminal_chat import Screen

from obeaver.cli.chat.lines import HISTORY_FILE, PlainLines, given, piped_text, typed_lines
from obeaver.cli.terminal import Terminal
from obeaver.errors import CommandError


def piped(content: bytes) -> str:
    return piped_text(io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))


def test_a_pipe_is_read_whole_and_as_utf_8_whatever_the_locale_says() -> None:
    assert piped("\ufeffWhat is a\nBärentatze? 🦫\n\n".encode()) == "What is a\nBärentatze? 🦫"


def test_a_pipe_that_is_no_text_is_refused() -> None:
    with pytest.raises(CommandError, match="standard input is not UTF-8 text"):
        piped(b"caf\xe9")


def test_a_typed_line_that_is_no_text_is_refused() -> None:
    assert given("café", "the line") == "café"
    with pytest.raises(CommandError, match="the line is not UTF-8 text: line 1 holds the byte 0xe9"):
        given(b"caf\xe9 \xc3\xa9".decode("utf-8", "surrogateescape"), "the line")


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_line_of_a_stream_that_is_no_text_is_refused(errors: str) -> None:
    typed = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8", errors=errors)
    lines = PlainLines(typed, Terminal(io.StringIO(), io.StringIO(), {}))
    with pytest.raises(CommandError, match="the line is not UTF-8 text"):
        lines.read(">>> ")


def test_plain_lines_show_their_prompt_on_the_side_of_the_notes() -> None:
    out, err = io.StringIO(), io.StringIO()
    lines = PlainLines(io.StringIO("one\n\ntwo"), Terminal(out, err, {}))
    assert [lines.read(">>> "), lines.read(">>> "), lines.read("... ")] == ["one", "", "two"]
    with pytest.raises(EOFError):
        lines.read(">>> ")
    assert (out.getvalue(), err.getvalue()) == ("", ">>> >>> ... >>> ")


def test_answers_that_go_to_a_file_leave_no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n"))
    with typed_lines(Terminal(io.StringIO(), io.StringIO(), {}), tmp_path) as lines:
        assert lines.read(">>> ") == "typed"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not util.find_spec("readline"), reason="this Python has no readline")
def test_typed_lines_have_a_private_history_that_outlives_the_chat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import readline

    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n"))
    home, screen = tmp_path / "home", Terminal(Screen(), Screen(), {})
    readline.clear_history()
    with typed_lines(screen, home) as lines:
        assert lines.read(">>> ") == "typed"
        readline.add_history("what readline would add")
    history = home / HISTORY_FILE
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    readline.clear_history()
    with typed_lines(screen, home):
        assert readline.get_history_item(1) == "what readline would add"
    readline.clear_history()


@pytest.mark.skipif(not util.find_spec("readline"), reason="this Python has no readline")
def test_a_chat_needs_no_place_for_its_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n"))
    with typed_lines(Terminal(Screen(), Screen(), {}), tmp_path / "file") as lines:
        assert lines.read(">>> ") == "typed"
