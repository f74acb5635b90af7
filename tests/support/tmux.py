"""A real terminal that a test types into and reads: tmux on a server of its own."""

import re
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

_POLL_S = 0.05
_ENDED = "exit status "


class Pane:
    """One terminal.

    Args:
        server: Name of its tmux server.
    """

    def __init__(self, server: str) -> None:
        self._server = server

    def type(self, text: str) -> None:
        """Type a line and press Enter."""
        self._tmux("send-keys", "-l", text)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: `C-c`, `Up`."""
        self._tmux("send-keys", *keys)

    def text(self) -> str:
        """All that the terminal shows and has shown, long lines unbroken."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-")

    def paste(self, text: str) -> None:
        """Paste a text, as a terminal does that knows bracketed paste."""
        self._tmux("set-buffer", text)
        self._tmux("paste-buffer", "-p")

    def wait_for(self, text: str) -> str:
        """Wait until the terminal has shown a text; all that it shows."""
        return self.wait_for_match(re.escape(text))

    def wait_for_match(self, pattern: str, *, timeout_s: float = 60) -> str:
        """The same for a regular expression."""
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, shown := self.text()):
            assert _ENDED not in shown, f"{pattern!r} did not appear before the command ended:\n{shown}"
            assert time.monotonic() < deadline, f"{pattern!r} did not appear:\n{shown}"
            time.sleep(_POLL_S)
        return shown

    def _tmux(self, *words: str) -> str:
        return _tmux(self._server, *words)


def _tmux(server: str, *words: str) -> str:
    command = ["tmux", "-L", server, "-f", "/dev/null", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


@contextmanager
def terminal(command: Sequence[str], *, columns: int = 120, **environ: str) -> Iterator[Pane]:
    """Run a command in a terminal; when it has ended, the terminal shows `exit status N`."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    server = f"obeaver-{uuid.uuid4().hex[:12]}"
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in environ.items())
    # Ctrl-C goes to the shell as well, which would end by it; a trap is not passed on to the command.
    script = f"trap : INT; env {variables} {shlex.join(command)}; echo {_ENDED}$?; cat"
    _tmux(server, "new-session", "-d", "-x", str(columns), "-y", "40", f"sh -c {shlex.quote(script)}")
    try:
        yield Pane(server)
    finally:
        _tmux(server, "kill-server")
