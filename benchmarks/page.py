"""How fast is the page? First paint, script in each frame while answers stream, memory over many answers, in Chromium.

The server is obeaver's own; the chat's answers come from a stand-in, at a pace that no small machine's model keeps.
Claims: the first paint in 0.5 s, 16 ms of script a frame, and memory that does not grow with the number of answers.
"""

import argparse
import itertools
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.contenders.servers import obeaver
from benchmarks.load.frame_trace import CATEGORIES, script_per_frame_ms
from benchmarks.load.paced_chat import Answer, PacedChat, paced_chat
from benchmarks.options import add_count, add_model, command_parser
from obeaver.errors import ObeaverError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FIRST_PAINT_MS = 500.0
SCRIPT_MS = 16.0
GROWTH = 0.1
PATIENCE_MS = 600_000.0

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_CHAT = "/static/index.html#/chat"
_TEXT = (
    "Beavers build **dams** of wood, mud and stone, and the *pond* behind keeps the door of the lodge under water.\n\n"
    "- Trees are felled close to the bank.\n- Channels carry them.\n\n"
    "```python\ndef dam(trees):\n    return sum(trees)\n```\n\n"
)


class NoBrowser(ObeaverError):
    """There is no Chromium, or Playwright is missing."""


class Row(NamedTuple):
    """One figure.

    Attributes:
        what: In words.
        figure: In its unit.
        most: What is claimed; None where nothing is.
        unit: Of both.
    """

    what: str
    figure: float
    most: float | None
    unit: str


def main(words: Sequence[str]) -> int:
    """Measure and print; 1 if a claim does not hold."""
    parser = command_parser("page", __doc__)
    add_model(parser)
    add_count(parser, "--answers", 200, "over which memory is watched")
    add_count(parser, "--loads", 7, "of the page, for its first paint")
    arguments = parser.parse_args(words)
    rows = _rows(arguments)
    for row in rows:
        claim = "" if row.most is None else f"  (at most {row.most:g})"
        print(f"{row.what:62}{row.figure:10.1f} {row.unit}{claim}")
    broken = [row for row in rows if row.most is not None and row.figure > row.most]
    for row in broken:
        print(f"too much: {row.what}", file=sys.stderr)
    return int(bool(broken))


def _rows(arguments: argparse.Namespace) -> list[Row]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NoBrowser("Playwright is missing: pip install 'obeaver[test]'") from None
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        raise NoBrowser("there is no Chromium on this machine (apt-get install chromium)")
    with (
        obeaver(arguments.model, "--offline", command="dashboard") as server,
        paced_chat(server.url) as chat,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        rows = _first_paint(browser, server.url, arguments.loads)
        rows += _streaming(browser, chat)
        rows.append(_memory(browser, chat, arguments.answers))
        browser.close()
    return rows


_MARK_WHEN_SHOWN = """new MutationObserver((_, observer) => {
    if (!document.querySelector(".composer-input")) return;
    observer.disconnect();
    performance.mark("obeaver-shown");
}).observe(document, { childList: true, subtree: true });"""


def _open(browser: "Browser", url: str) -> "Page":
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 800})
    context.add_init_script(_MARK_WHEN_SHOWN)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(_CHAT)
    page.locator(".composer-input").first.wait_for()
    return page


def _first_paint(browser: "Browser", url: str, loads: int) -> list[Row]:
    """In a new profile each time: nothing comes from a cache."""
    paints, ready = [], []
    for _ in range(loads):
        page = _open(browser, url)
        ready.append(page.evaluate("performance.getEntriesByName('obeaver-shown')[0].startTime"))
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        page.context.close()
    return [
        Row("first contentful paint, nothing cached", statistics.median(paints), FIRST_PAINT_MS, "ms"),
        Row("chat ready to type in, nothing cached", statistics.median(ready), None, "ms"),
    ]


def _streaming(browser: "Browser", chat: PacedChat) -> list[Row]:
    """Each case: a page, an answer, and the script of the frames in which it came."""
    rows = []
    page = _open(browser, chat.url)
    rows += _frames("100 tokens/s", page, chat, Answer(_tokens(600), 100))
    rows += _frames("10,000 tokens at 400/s", page, chat, Answer(_tokens(10_000), 400))
    page.context.close()
    page = _open(browser, chat.url)
    _import(page, 500)
    rows += _frames("100 tokens/s behind 500 turns", page, chat, Answer(_tokens(600), 100))
    page.context.close()
    return rows


def _frames(what: str, page: "Page", chat: PacedChat, answer: Answer) -> list[Row]:
    browser = page.context.browser
    assert browser is not None
    chat.answer = answer
    browser.start_tracing(page=page, categories=list(CATEGORIES))
    shown = page.evaluate(_COUNT_FRAMES)
    _ask(page)
    shown = page.evaluate("window.framesASecond()")
    frames = sorted(script_per_frame_ms(browser.stop_tracing()))
    return [
        Row(f"{what}: frames a second", shown, None, ""),
        Row(f"{what}: script a frame, median", statistics.median(frames), None, "ms"),
        Row(f"{what}: script a frame, 99th of 100", frames[int(len(frames) * 0.99)], SCRIPT_MS, "ms"),
        Row(f"{what}: script a frame, worst of {len(frames)}", frames[-1], None, "ms"),
    ]


_COUNT_FRAMES = """() => {
    const begun = performance.now();
    let count = 0;
    const next = () => ((count += 1), requestAnimationFrame(next));
    requestAnimationFrame(next);
    window.framesASecond = () => (1000 * count) / (performance.now() - begun);
}"""


def _ask(page: "Page") -> None:
    answers = page.locator(".turn.assistant").count()
    page.locator(".composer-input").fill("Tell me of beavers.")
    page.locator(".composer-input").press("Enter")
    page.wait_for_function(
        """before => {
            const turns = document.querySelectorAll(".turn.assistant");
            return turns.length > before && turns[turns.length - 1].getAttribute("aria-busy") === "false";
        }""",
        arg=answers,
        polling=250,
    )


def _memory(browser: "Browser", chat: PacedChat, answers: int) -> Row:
    """From the first fifth of the answers to the last one, in conversations of ten, without garbage."""
    page = _open(browser, chat.url)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    chat.answer = Answer(_tokens(120), 2000)
    sizes = []
    for number in range(1, answers + 1):
        if number % 10 == 1:
            page.keyboard.press("Alt+n")
            page.locator(".welcome").first.wait_for()
        _ask(page)
        if number in {answers // 5, answers}:
            page.keyboard.press("Alt+n")
            page.locator(".welcome").first.wait_for()
            sizes.append(_heap_mb(session))
    return Row(
        f"heap after {answers} answers, beside after {answers // 5}", 100 * (sizes[1] / sizes[0] - 1), 100 * GROWTH, "%"
    )


def _heap_mb(session: Any) -> float:
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["JSHeapUsedSize"]) / 1e6


def _tokens(count: int) -> list[str]:
    """Pieces of four signs, which is what a token has."""
    text = _TEXT * (4 * count // len(_TEXT) + 1)
    return ["".join(piece) for piece in itertools.islice(zip(*[iter(text)] * 4, strict=False), count)]


def _import(page: "Page", turns: int) -> None:
    """A conversation of this many questions and answers, opened."""
    messages: list[dict[str, Any]] = []
    for number in range(2 * turns):
        parent = messages[-1]["id"] if messages else None
        role, content = ("assistant", _TEXT * 2) if number % 2 else ("user", f"Question {number}")
        messages.append(
            {"id": str(number), "parent": parent, "role": role, "content": content, "created": number, "state": "done"}
        )
    row = {"id": "long", "title": "Long", "created": 1, "updated": 1, "head": messages[-1]["id"], "settings": {}}
    export = {"format": "obeaver-conversations", "version": 1, "conversations": [{"row": row, "messages": messages}]}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "long.json"
        file.write_text(json.dumps(export), encoding="utf-8")
        page.get_by_role("button", name="Import and export").click()
        with page.expect_file_chooser() as chooser:
            page.get_by_role("menuitem", name="Import from JSON").click()
        chooser.value.set_files(file)
        page.get_by_role("link", name="Long").click()
        page.locator(".turn.assistant.last .answer").first.wait_for()
