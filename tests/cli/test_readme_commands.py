"""The documentation knows every command."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_lists_every_command_that_help_lists() -> None:
    shown = subprocess.run([sys.executable, "-m", "obeaver", "--help"], capture_output=True, text=True, check=True)
    commands = re.findall(r"^    ([a-z-]+)(?:  |$)", shown.stdout, re.MULTILINE)
    assert len(commands) > 5
    listed = re.findall(r"^\| `obeaver ([a-z-]+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(commands)


def test_every_command_has_help_with_examples() -> None:
    listed = re.findall(r"^\| `obeaver ([a-z-]+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    for command in listed:
        shown = subprocess.run(
            [sys.executable, "-m", "obeaver", command, "--help"], capture_output=True, text=True, check=True
        )
        assert f"examples:\n  obeaver {command}" in shown.stdout
