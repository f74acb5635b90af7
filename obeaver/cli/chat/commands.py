"""What a line that begins with a slash does. Pure but for the files it is told to read and write."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from obeaver.cli.chat.composer import QUOTES, Command
from obeaver.cli.chat.transcript import Transcript, read_transcript, write_transcript
from obeaver.errors import CommandError

_KEYS = f"""A line that ends with a backslash goes on in the next; {QUOTES} opens a block of lines, {QUOTES} ends it.
Ctrl-C stops an answer, twice at the prompt it ends the chat, as Ctrl-D does.
A message that begins with a slash takes a blank before it."""


class _Row(NamedTuple):
    act: Callable[[str], None]
    usage: str
    summary: str


class Commands:
    """The commands of one chat.

    Args:
        transcript: What they change.
        model: Name of the model, for saved files.
        say: Shows a person some lines.
    """

    def __init__(self, transcript: Transcript, model: str, say: Callable[[str], None]) -> None:
        self.ended = False
        self._transcript = transcript
        self._model = model
        self._say = say
        self._path: Path | None = None
        self._table = {
            "/help": _Row(self._help, "/help", "show this"),
            "/system": _Row(self._system, "/system [TEXT]", "set the system prompt; - removes it; alone shows it"),
            "/reset": _Row(self._reset, "/reset", "forget the conversation, keep the system prompt"),
            "/save": _Row(self._save, "/save [FILE]", "write the conversation as JSON, the body of a chat request"),
            "/load": _Row(self._load, "/load FILE", "go on with a saved conversation"),
            "/exit": _Row(self._exit, "/exit", "end the chat"),
        }

    def run(self, command: Command) -> None:
        """Do it. `ended` tells afterwards whether the chat goes on.

        Raises:
            CommandError: There is no such command, or it cannot be done; nothing was changed.
        """
        row = self._table.get(command.name.lower())
        if row is None:
            raise CommandError(
                f"there is no command {command.name}: /help lists them, and a blank before makes it text"
            )
        row.act(command.argument)

    def _help(self, _: str) -> None:
        width = max(len(row.usage) for row in self._table.values())
        rows = [f"{row.usage:{width}}  {row.summary}" for row in self._table.values()]
        self._say("\n".join([*rows, _KEYS]))

    def _system(self, text: str) -> None:
        if text:
            self._transcript.system = "" if text == "-" else text
        shown = self._transcript.system
        self._say(f"system prompt: {shown}" if shown else "there is no system prompt")

    def _reset(self, _: str) -> None:
        self._transcript.reset()
        self._say("the conversation is forgotten" + (", the system prompt kept" if self._transcript.system else ""))

    def _save(self, argument: str) -> None:
        path = self._path if not argument else _path(argument)
        if path is None:
            raise CommandError("name a file: /save FILE")
        messages = self._transcript.all_messages()
        if not messages:
            raise CommandError("there is nothing to save yet")
        if path != self._path and path.exists():
            raise CommandError(f"{path} exists already: choose another name")
        write_transcript(path, self._model, messages)
        self._path = path
        self._say(f"{_count(len(messages))} saved in {path}")

    def _load(self, argument: str) -> None:
        if not argument:
            raise CommandError("name a file: /load FILE")
        path = _path(argument)
        messages = read_transcript(path)
        self._transcript.take(messages)
        self._path = path
        self._say(f"{_count(len(messages))} loaded from {path}")

    def _exit(self, _: str) -> None:
        self.ended = True


def _path(argument: str) -> Path:
    path = Path(argument)
    try:
        return path.expanduser()
    except RuntimeError:  # `~nobody` stays what it is
        return path


def _count(num_messages: int) -> str:
    return f"{num_messages} message{'s' * (num_messages != 1)}"
