"""`obeaver run` on a real terminal with the default model: a person types, waits, stops it, saves, leaves."""

import json
import stat
import sys
from pathlib import Path

import pytest
from support.tmux import terminal

from obeaver.cli.chat.lines import HISTORY_FILE

pytestmark = pytest.mark.real

STORY = "Write a very long story about many animals.\n/system This is text as well."


def test_a_person_chats_stops_an_answer_saves_and_leaves(default_model: Path, tmp_path: Path) -> None:
    home, saved = tmp_path / "home", tmp_path / "chat.json"
    with terminal([*command(default_model, home), "--max-tokens", "2000", "--timings"]) as pane:
        pane.wait_for(">>> ")
        pane.type("/system You answer briefly.")
        pane.wait_for("system prompt: You answer briefly.\n>>> ")
        pane.type("What is the capital\\")
        pane.wait_for("\n... ")
        pane.type("of France?")
        pane.wait_for("Paris")
        pane.wait_for("cached), answer")
        pane.paste(STORY)
        pane.press("Enter")
        pane.wait_for_match(r"text as well\.\n(\S+\s+){5}")
        pane.press("C-c")
        pane.wait_for("(stopped)\n>>> ")
        pane.type(f"/save {saved}")
        pane.wait_for(f"5 messages saved in {saved}\n>>> ")
        pane.type("/exit")
        shown = pane.wait_for("exit status 0")

    messages = json.loads(saved.read_text(encoding="utf-8"))["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant"]
    assert messages[1]["content"] == "What is the capital\nof France?"
    assert messages[3]["content"] == STORY
    answer = messages[4]["content"].split("\n")[0]
    assert answer
    assert answer in shown.replace("^C", "")  # which the terminal wrote where the answer had got to
    assert "Traceback" not in shown
    history = home / HISTORY_FILE
    assert "of France?" in history.read_text(encoding="utf-8").splitlines()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_a_person_finds_what_they_typed_last_time_and_leaves_by_ctrl_c(default_model: Path, tmp_path: Path) -> None:
    for keys in (["/system Remember me.", "Enter"], ["Up", "Enter"]):
        with terminal(command(default_model, tmp_path)) as pane:
            pane.wait_for(">>> ")
            pane.press(*keys)
            pane.wait_for("system prompt: Remember me.\n>>> ")
            pane.press("C-c")
            pane.wait_for("Ctrl-C again, Ctrl-D or /exit ends the chat\n>>> ")
            pane.press("C-c")
            pane.wait_for("exit status 0")


def command(model: Path, home: Path) -> list[str]:
    return [sys.executable, "-m", "obeaver", "run", str(model), "--home", str(home), "--temperature", "0"]
