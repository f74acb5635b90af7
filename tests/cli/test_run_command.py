"""`obeaver run` in pipes, as shells use it: in this process where that shows the same, else in one of its own."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from support.server_process import serve

from obeaver.cli import main

COMMAND = [sys.executable, "-m", "obeaver", "run"]
QUESTION = "What is the capital of France?"
GREEDY = ("--offline", "--temperature", "0", "--max-tokens", "24")
ENDLESS = ("--offline", "--temperature", "0", "--max-tokens", "8000", "Write a very long story about many animals.")


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `obeaver run WORDS` in this process with this text piped in."""

    def run_here(*words: str, piped: bytes = b"") -> Ended:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(piped)))
        status = main(["run", *words])
        return Ended(status, *capsys.readouterr())

    return run_here


@pytest.mark.real
def test_a_piped_question_gets_the_answer_of_the_server_and_nothing_else_on_stdout(default_model: Path) -> None:
    command = [*COMMAND, str(default_model), *GREEDY, "--timings"]
    ended = subprocess.run(command, input=f"{QUESTION}\n", capture_output=True, text=True, check=False, timeout=120)
    with serve(str(default_model), "--offline") as server:
        body = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 24}
        answer = httpx.post(server.url + "/v1/chat/completions", json=body, timeout=60).json()
    content, usage = answer["choices"][0]["message"]["content"], answer["usage"]
    assert ended.returncode == 0
    assert ended.stdout == f"{content}\n"
    (timings,) = [line for line in ended.stderr.splitlines() if line.startswith("[")]
    assert f"prompt {usage['prompt_tokens']} tokens (0 cached)" in timings
    assert f"answer {usage['completion_tokens']} tokens" in timings


@pytest.mark.real
def test_a_question_goes_before_what_is_piped_in_and_the_system_prompt_counts(default_model: Path, run: Run) -> None:
    as_words = run(*GREEDY, str(default_model), "--system", "You are a parrot.", f"Repeat:\n\n{QUESTION}")
    piped = run(*GREEDY, str(default_model), "Repeat:", "--system", "You are a parrot.", piped=QUESTION.encode())
    assert as_words.out
    assert (piped.status, piped.out) == (0, as_words.out)


@pytest.mark.real
def test_a_reader_that_leaves_ends_the_command_without_a_word(default_model: Path) -> None:
    assert default_model.is_dir()
    command = [*COMMAND, *ENDLESS]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.real
def test_an_interrupted_answer_stands_as_far_as_it_came_and_the_status_is_130(default_model: Path) -> None:
    assert default_model.is_dir()
    command = [*COMMAND, *ENDLESS]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        rest, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (first + rest).endswith(b"\n")
    assert told == b"obeaver: interrupted\n"


@pytest.mark.real
def test_a_screenless_person_gets_prompts_on_stderr_only(default_model: Path, tmp_path: Path, run: Run) -> None:
    """Standard input must be a terminal for a chat: a pseudo-terminal, with the answers in a file."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals are a Unix thing")
    ours, theirs = pty.openpty()
    with (
        (tmp_path / "answers.txt").open("wb") as out,
        subprocess.Popen(
            [*COMMAND, str(default_model), *GREEDY, "--home", str(tmp_path / "home")],
            stdin=theirs,
            stdout=out,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        os.close(theirs)
        os.write(ours, f"{QUESTION}\n/exit\n".encode())
        _, told = process.communicate(timeout=120)
        os.close(ours)
    assert process.returncode == 0
    answer = run(*GREEDY, str(default_model), QUESTION).out.strip()
    assert answer in (tmp_path / "answers.txt").read_text(encoding="utf-8")
    assert told.decode().count(">>> ") == 2
    assert b">>> " not in (tmp_path / "answers.txt").read_bytes()


@pytest.mark.parametrize(
    ("words", "piped", "told"),
    [
        ([], b" \n", "nothing is asked: standard input is empty"),
        ([], b"caf\xe9", "standard input is not UTF-8 text: line 1 holds the byte 0xe9"),
        ([], "Hello".encode("utf-16"), "standard input is UTF-16, not UTF-8 text"),
        ([], "Hello".encode("utf-16-be"), "standard input is UTF-16, not UTF-8 text"),
        ([], b"one\ntwo\0 words", "standard input is not UTF-8 text: line 2 holds a NUL byte"),
        (["caf\udce9"], b"", "the question is not UTF-8 text"),
        (["--system", "caf\udce9", "Hi"], b"", "--system is not UTF-8 text"),
        (["smollm2-135"], b"Hi", "there is no model 'smollm2-135': did you mean smollm2-135m?"),
        (["--temperature", "9", "Hi"], b"", "`temperature` must be a number from 0 to 2"),
        (["--offline", "smollm2-135m", "Hi"], b"", "smollm2-135m is not in "),
    ],
)
def test_what_cannot_be_answered_is_one_line_and_exit_status_1(
    words: list[str], piped: bytes, told: str, tmp_path: Path, run: Run
) -> None:
    ended = run(*words, "--home", str(tmp_path), piped=piped)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith(f"obeaver: {told}")
    assert ended.err.count("\n") == 1
