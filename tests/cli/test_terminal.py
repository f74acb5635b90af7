"""What is written where."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.terminal_chat import Screen

from obeaver.cli.terminal import Terminal, visible
from obeaver.errors import CommandError

DEV_FULL = Path("/dev/full")


def shown(*, out_is_screen: bool, err_is_screen: bool, environ: Mapping[str, str]) -> tuple[str, str]:
    """What stands on both streams after some thoughts, an answer and a note."""
    out, err = Screen(is_screen=out_is_screen), Screen(is_screen=err_is_screen)
    terminal = Terminal(out, err, environ)
    terminal.reasoning("hm")
    terminal.reasoning("m")
    terminal.answer("A\x1b[2J")
    terminal.answer("B")
    terminal.end_answer()
    terminal.note("done")
    return out.getvalue(), err.getvalue()


def test_a_screen_shows_thoughts_dimmed_and_no_control_characters() -> None:
    out, err = shown(out_is_screen=True, err_is_screen=True, environ={"TERM": "xterm"})
    assert out == "A\N{REPLACEMENT CHARACTER}[2JB\n"
    assert err == "\x1b[2mhm\x1b[22m\x1b[2mm\x1b[22m\n\ndone\n"


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colour_thoughts_stand_below_a_heading(environ: dict[str, str]) -> None:
    _, err = shown(out_is_screen=True, err_is_screen=True, environ=environ)
    assert err == "[thinking]\nhmm\n\ndone\n"


def test_an_empty_no_color_means_nothing() -> None:
    _, err = shown(out_is_screen=True, err_is_screen=True, environ={"NO_COLOR": ""})
    assert "\x1b[2m" in err


def test_pipes_get_the_answer_as_it_is_and_no_thoughts() -> None:
    out, err = shown(out_is_screen=False, err_is_screen=False, environ={})
    assert out == "A\x1b[2JB\n"
    assert err == "done\n"


def test_an_answer_that_ends_its_line_gets_no_second_line_end() -> None:
    out = Screen(is_screen=False)
    terminal = Terminal(out, Screen(is_screen=False), {})
    terminal.answer("A\n")
    terminal.end_answer()
    assert out.getvalue() == "A\n"


def test_no_answer_leaves_no_trace() -> None:
    out = Screen(is_screen=True)
    Terminal(out, out, {}).end_answer()
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("text", "seen"),
    [("a\tb\nc", "a\tb\nc"), ("a\r\nb", "a\nb"), ("a\rb", "a�b"), ("\x07\x7f\x9b", "���"), ("é🦫\u200d", "é🦫\u200d")],
)
def test_control_characters_become_visible(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_a_reader_that_left_is_told_and_what_is_left_goes_nowhere() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "w", encoding="utf-8") as out:  # noqa: PTH123 - a descriptor, not a path
        terminal = Terminal(out, Screen(is_screen=False), {})
        with pytest.raises(BrokenPipeError):
            terminal.answer("text")


@pytest.mark.skipif(not DEV_FULL.exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_clear_sentence() -> None:
    with DEV_FULL.open("w", encoding="utf-8") as out:
        terminal = Terminal(out, Screen(is_screen=False), {})
        with pytest.raises(CommandError, match="the answer cannot be written: No space left on device"):
            terminal.answer("text")
