"""The commands of a chat, and the file of a conversation."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from obeaver.api.chat.request import parse_chat_request
from obeaver.api.core.conversation import SystemMessage, UserMessage, text_parts
from obeaver.cli.chat.commands import Commands
from obeaver.cli.chat.composer import Command
from obeaver.cli.chat.transcript import Transcript, read_transcript, write_transcript
from obeaver.errors import CommandError


class Desk:
    """Commands over one conversation, and what they said."""

    def __init__(self) -> None:
        self.transcript = Transcript()
        self.said: list[str] = []
        self.commands = Commands(self.transcript, "some-model", self.said.append)

    def run(self, name: str, argument: object = "") -> str:
        """Run a command; what it said."""
        self.said.clear()
        self.commands.run(Command(name, str(argument)))
        return "\n".join(self.said)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_help_names_every_command_and_the_ways_to_type(desk: Desk) -> None:
    shown = desk.run("/help")
    for word in ("/help", "/system", "/reset", "/save", "/load", "/exit", "backslash", '"""', "Ctrl-C", "Ctrl-D"):
        assert word in shown


def test_an_unknown_command_says_where_the_known_ones_are(desk: Desk) -> None:
    with pytest.raises(CommandError, match="no command /hlep: /help lists them"):
        desk.run("/hlep")


def test_commands_are_known_in_capitals_too(desk: Desk) -> None:
    desk.run("/EXIT")
    assert desk.commands.ended


def test_a_system_prompt_is_set_shown_and_removed(desk: Desk) -> None:
    assert desk.run("/system") == "there is no system prompt"
    desk.run("/system", "Be brief.")
    assert desk.run("/system") == "system prompt: Be brief."
    assert desk.transcript.all_messages() == [SystemMessage(text_parts("Be brief."))]
    assert desk.run("/system", "-") == "there is no system prompt"
    assert desk.transcript.all_messages() == []


def test_reset_forgets_the_messages_and_keeps_the_system_prompt(desk: Desk) -> None:
    desk.run("/system", "Be brief.")
    desk.transcript.keep("Hi", "Hello")
    assert desk.run("/reset") == "the conversation is forgotten, the system prompt kept"
    assert desk.transcript.all_messages() == [SystemMessage(text_parts("Be brief."))]


def test_a_saved_conversation_is_a_chat_request_that_only_its_owner_can_read(desk: Desk, tmp_path: Path) -> None:
    desk.run("/system", "Be brief.")
    desk.transcript.keep("Grüße 🦫", "Hello", "They greet me.")
    path = tmp_path / "chat.json"
    assert desk.run("/save", path) == f"3 messages saved in {path}"
    body = json.loads(path.read_text(encoding="utf-8"))
    assert body == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Grüße 🦫"},
            {"role": "assistant", "content": "Hello", "reasoning_content": "They greet me."},
        ],
    }
    assert list(parse_chat_request(body).conversation.messages) == desk.transcript.all_messages()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_loaded_conversation_goes_on_where_it_was_saved(desk: Desk, tmp_path: Path) -> None:
    desk.run("/system", "Be brief.")
    desk.transcript.keep("Hi", "Hello")
    desk.run("/save", tmp_path / "chat.json")
    other = Desk()
    assert other.run("/load", tmp_path / "chat.json") == f"3 messages loaded from {tmp_path / 'chat.json'}"
    assert other.transcript == desk.transcript


def test_save_without_a_name_writes_the_file_of_before(desk: Desk, tmp_path: Path) -> None:
    desk.transcript.keep("Hi", "Hello")
    desk.run("/save", tmp_path / "chat.json")
    desk.transcript.keep("More", "There")
    desk.run("/save")
    desk.run("/save", tmp_path / "chat.json")
    assert len(read_transcript(tmp_path / "chat.json")) == 4


def test_save_refuses_to_overwrite_a_file_of_somebody_else(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine", encoding="utf-8")
    desk.transcript.keep("Hi", "Hello")
    with pytest.raises(CommandError, match="exists already"):
        desk.run("/save", path)
    assert path.read_text(encoding="utf-8") == "mine"


def test_save_needs_a_name_and_something_to_save(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="name a file: /save FILE"):
        desk.run("/save")
    with pytest.raises(CommandError, match="nothing to save"):
        desk.run("/save", tmp_path / "chat.json")


def test_save_into_a_folder_that_is_not_there_says_so(desk: Desk, tmp_path: Path) -> None:
    desk.transcript.keep("Hi", "Hello")
    with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
        desk.run("/save", tmp_path / "none" / "chat.json")


def test_a_file_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CommandError, match="folder cannot be written"):
        write_transcript(tmp_path / "folder", "some-model", [UserMessage(text_parts("Hi"))])
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_save_knows_the_home_folder(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    desk.transcript.keep("Hi", "Hello")
    desk.run("/save", "~/chat.json")
    assert (tmp_path / "chat.json").is_file()


def test_an_unknown_user_is_a_plain_name(desk: Desk) -> None:
    with pytest.raises(CommandError, match="~nobody-of-that-name"):
        desk.run("/load", "~nobody-of-that-name/chat.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is not a conversation"),
        (b"\xff", "is not UTF-8 text"),
        (b"[]", "is not a conversation"),
        (b"{}", "is not a conversation"),
        (b'{"messages": []}', "`messages`"),
        (b'{"messages": [{"role": "robot", "content": "Hi"}]}', r"`messages\[0\].role`"),
        (b'{"messages": [{"role": "user"}]}', r"`messages\[0\].content`"),
    ],
)
def test_load_refuses_what_is_no_conversation_and_changes_nothing(
    desk: Desk, tmp_path: Path, content: bytes, reason: str
) -> None:
    desk.transcript.keep("Hi", "Hello")
    path = tmp_path / "chat.json"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=reason):
        desk.run("/load", path)
    assert len(desk.transcript.messages) == 2


def test_load_needs_a_file_that_is_there(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="name a file"):
        desk.run("/load")
    with pytest.raises(CommandError, match="cannot be read: No such file or directory"):
        desk.run("/load", tmp_path / "none.json")


def test_a_loaded_system_prompt_of_several_parts_is_one_text(desk: Desk, tmp_path: Path) -> None:
    parts: list[Any] = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    messages: list[Any] = [{"role": "developer", "content": parts}, {"role": "user", "content": "Hi"}]
    (tmp_path / "chat.json").write_text(json.dumps({"messages": messages}), encoding="utf-8")
    desk.run("/load", tmp_path / "chat.json")
    assert desk.transcript == Transcript("Be brief.\nBe kind.", [UserMessage(text_parts("Hi"))])
