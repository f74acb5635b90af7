"""Progress for programs: lines that are written and read."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.hub_server import HubServer, Repo

from obeaver.api.models.pull_job import NUM_NOTES, PullState
from obeaver.models.progress_lines import INTERVAL_S, LineProgress, read_line

EXPORT = Path(__file__).parent.parent / "data" / "builder_exports" / "llama_int4"


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_stage_is_told_at_its_beginning_at_its_end_and_not_too_often() -> None:
    out, clock = io.StringIO(), Clock()
    with LineProgress(out, clock=clock).stage("download", 100, done=10) as stage:
        for wait_s in (0.0, INTERVAL_S, 0.0, INTERVAL_S, 0.0):
            clock.now_s += wait_s
            stage.advance(10)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["done"] for line in lines] == [10, 30, 50, 60]
    assert all((line["stage"], line["unit"], line["total"]) == ("download", "B", 100) for line in lines)


def test_a_stage_that_fails_is_not_told_as_ended() -> None:
    out = io.StringIO()
    with pytest.raises(OSError, match="full"), LineProgress(out).stage("download", None):
        raise OSError("full")
    assert [json.loads(line)["done"] for line in out.getvalue().splitlines()] == [0]


@pytest.mark.parametrize("line", [b"", b"no JSON\n", b"[1]\n", b"\xff\n", b"{"])
def test_what_is_no_such_line_says_nothing(line: bytes) -> None:
    assert read_line(line) == {}
    assert PullState().told(read_line(line)) == PullState()


def test_a_state_keeps_the_latest_notes_and_the_stage_that_goes_on() -> None:
    state = PullState().told({"stage": "quantise", "unit": "layer", "total": 30, "done": 4})
    for number in range(NUM_NOTES + 3):
        state = state.told({"note": str(number)})
    assert (state.stage, state.unit, state.done, state.total) == ("quantise", "layer", 4, 30)
    assert state.notes == tuple(map(str, range(3, NUM_NOTES + 3)))
    assert state.told({"model": "mine", "folder": "/x"}).model == "mine"


def pulled(home: Path, asked: str) -> tuple[int, list[dict[str, object]], str]:
    line = [sys.executable, "-m", "obeaver", "pull", asked, "--json", "--home", str(home)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=os.environ)
    return done.returncode, [json.loads(text) for text in done.stdout.splitlines()], done.stderr


def test_the_command_tells_programs_how_it_goes_and_how_it_ended(hub: HubServer, tmp_path: Path) -> None:
    hub.repos["Org/Tiny-ONNX"] = Repo({path.name: path.read_bytes() for path in EXPORT.iterdir()})
    status, lines, errors = pulled(tmp_path, "hf:Org/Tiny-ONNX")
    assert (status, errors) == (0, "")
    assert lines[-1] == {"model": "tiny-onnx", "folder": str(tmp_path / "models" / "tiny-onnx")}
    assert {"stage", "unit", "total", "done"} in [set(line) for line in lines]
    status, lines, errors = pulled(tmp_path, "hf:Org/Nothing")
    assert status == 1
    assert errors.startswith("obeaver: ")
    assert lines[-1] == {"error": errors.removeprefix("obeaver: ").rstrip("\n")}
