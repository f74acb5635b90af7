"""Lines to messages and commands."""

import pytest

from obeaver.cli.chat.composer import Command, Composer, Entry, Message


def composed(*lines: str) -> list[Entry]:
    composer = Composer()
    return [entry for line in lines if (entry := composer.push(line)) is not None]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["hello"], "hello"),
        (["  hello"], "  hello"),
        (["one\\", "two"], "one\ntwo"),
        (["one\\", "two\\", "three"], "one\ntwo\nthree"),
        (["one\\", ""], "one\n"),
        (["one\\", "/reset"], "one\n/reset"),
        (["C:\\\\"], "C:\\\\"),
        (["three \\\\\\", "lines"], "three \\\\\nlines"),
        (['"""one', 'two"""'], "one\ntwo"),
        (['"""', "one", "", "two", '"""'], "one\n\ntwo"),
        (['"""one line"""'], "one line"),
        (['  """', "indented", '"""  '], "indented"),
        (['"""', "/help", "back\\", '"""'], "/help\nback\\"),
        (['say """ aloud'], 'say """ aloud'),
        ([" /etc/passwd is what?"], " /etc/passwd is what?"),
        (["/pasted\nlines"], "/pasted\nlines"),
    ],
)
def test_lines_make_one_message(lines: list[str], text: str) -> None:
    assert composed(*lines) == [Message(text)]


@pytest.mark.parametrize("lines", [[""], ["   "], ['"""', '"""'], ['""""""'], ["\\", ""]])
def test_blank_lines_are_no_message_and_leave_nothing_pending(lines: list[str]) -> None:
    composer = Composer()
    assert [composer.push(line) for line in lines] == [None] * len(lines)
    assert not composer.pending


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/help", Command("/help", "")),
        ("/save a file.json ", Command("/save", "a file.json")),
        ("/system  Be brief.", Command("/system", "Be brief.")),
        ("/", Command("/", "")),
    ],
)
def test_a_line_that_begins_with_a_slash_is_a_command(line: str, command: Command) -> None:
    assert composed(line) == [command]


@pytest.mark.parametrize("line", ["more\\", '"""', '"""more'])
def test_an_open_message_is_pending_until_it_is_cleared(line: str) -> None:
    composer = Composer()
    composer.push(line)
    open_before = composer.pending
    composer.clear()
    assert (open_before, composer.pending) == (True, False)
    assert composer.push("new") == Message("new")


def test_what_was_collected_can_be_finished_without_its_end() -> None:
    composer = Composer()
    composer.push('"""one')
    composer.push("two")
    assert composer.finish() == Message("one\ntwo")
    assert composer.finish() is None
