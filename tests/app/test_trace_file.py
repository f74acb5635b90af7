"""The engine's steps as Chrome's trace format has them."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from support.chat_app import make_model, serving

from obeaver.app.trace_file import TraceFile
from obeaver.errors import CommandError
from obeaver.models.store import Store


def events(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


async def test_steps_hold_their_parts_and_name_what_they_computed(tmp_path: Path) -> None:
    make_model(Store(tmp_path / "home"), "tiny")
    path = tmp_path / "trace.json"
    async with serving(tmp_path / "home", "tiny", trace=str(path)) as served:
        await served.answer(max_tokens=4)
    spans = [event for event in events(path) if event["ph"] == "X"]
    assert {span["name"] for span in spans} >= {"step", "plan", "prefill", "decode", "sample", "commit"}
    for span in spans:
        assert {type(span[key]) for key in ("pid", "tid")} == {int}
        assert min(span["ts"], span["dur"]) >= 0
    steps = [span for span in spans if span["name"] == "step"]
    for part in (span for span in spans if span["name"] != "step"):
        # Spans of a thread lie within each other, which is how viewers stack them.
        assert [step for step in steps if step["ts"] <= part["ts"] and _end(part) <= _end(step)]
    assert [span["args"]["rows"] for span in spans if span["name"] == "decode"] == [1, 1, 1]


def _end(span: dict[str, Any]) -> float:
    return float(span["ts"] + span["dur"])


def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"the trace cannot be written: .*No such file or directory"):
        TraceFile(tmp_path / "none" / "trace.json")


def test_a_span_that_raises_is_recorded_too(tmp_path: Path) -> None:
    trace = TraceFile(tmp_path / "trace.json")
    with pytest.raises(ValueError, match="broken"), trace.span("step", rows=2):
        raise ValueError("broken")
    trace.close()
    assert [event["name"] for event in events(tmp_path / "trace.json")] == ["process_name", "step"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_on_a_full_disk_the_trace_ends_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    trace = TraceFile(Path("/dev/full"))
    for _ in range(1000):
        with trace.span("step"):
            pass
    trace.close()
    (line,) = [record for record in caplog.records if "the trace ends here" in record.message]
    assert line.levelno == logging.WARNING
    assert "No space left on device" in line.message
