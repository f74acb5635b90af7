"""What script a page ran in each frame, out of a trace of Chromium.

Times are those that the page's thread computed (`tdur`), not those of the clock: a frame that
waits for a processor which others use is no fault of the page.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CATEGORIES = ("devtools.timeline", "disabled-by-default-devtools.timeline", "v8.execute")

_SCRIPT = {"FunctionCall", "EvaluateScript", "RunMicrotasks", "MajorGC", "MinorGC"}
_FRAME_ENDS = "Commit"


def script_per_frame_ms(trace: bytes) -> list[float]:
    """Milliseconds of script that ran before each frame was handed to the compositor, in order.

    Raises:
        ValueError: The trace has no thread of a page.
    """
    events = json.loads(trace)["traceEvents"]
    main = _page_thread(events)
    own = sorted(
        (event for event in events if (event["pid"], event["tid"]) == main and event["ph"] == "X"),
        key=lambda event: event["ts"],
    )
    frames: list[float] = []
    spent_us = 0.0
    for event in _outermost(own):
        if event["name"] == _FRAME_ENDS:
            frames.append(spent_us / 1000)
            spent_us = 0.0
        else:
            spent_us += event.get("tdur", event["dur"])
    return frames


def _page_thread(events: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """The renderer's main thread that ran the most script."""
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event.get("args", {}).get("name") == "CrRendererMain"
    }
    counts = dict.fromkeys(mains, 0)
    for event in events:
        if (event["pid"], event["tid"]) in counts and event["name"] in _SCRIPT:
            counts[event["pid"], event["tid"]] += 1
    if not counts:
        raise ValueError("the trace has no thread of a page")
    return max(counts, key=lambda main: counts[main])


def _outermost(events: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Marks of frames, and pieces of script that no other piece contains."""
    until = 0.0
    for event in events:
        if event["name"] == _FRAME_ENDS:
            yield event
        elif event["name"] in _SCRIPT and event["ts"] >= until:
            until = event["ts"] + event.get("dur", 0)
            yield event
