"""Makes the pictures of README and docs: `make screenshots`, with Chromium on the machine.

A real server with the default model answers; what the pictures show was computed for them.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, expect
from support.browser import Pages, chromium
from support.server_process import serve

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
MODEL = "smollm2-135m"
QUESTION = "Write a Python function that returns the factorial of a number."
ECHO = "Repeat this list: one two three four five six seven eight. one two three four five six seven eight."


def main() -> None:
    """Write `docs/pictures/*.png` anew."""
    PICTURES.mkdir(exist_ok=True)
    with serve(MODEL, "--offline", command="dashboard") as server, chromium() as browser:
        for name, take in PICTURES_OF.items():
            pages = Pages(browser, server.url)
            take(pages, PICTURES / f"{name}.png")
            print(f"{name}.png", *pages.close())


def chat(pages: Pages, file: Path) -> None:
    """An answer with code in it."""
    _shoot(_asked(pages.open("/static/index.html#/chat", width=1200, height=760)), file)


def dark(pages: Pages, file: Path) -> None:
    """The same at night, with the parameters beside it."""
    page = _asked(pages.open("/static/index.html#/chat", width=1200, height=760, color_scheme="dark"))
    page.keyboard.press("Alt+p")
    expect(page.locator("#parameter-temperature")).to_be_visible()
    _shoot(page, file)


def phone(pages: Pages, file: Path) -> None:
    """On a phone."""
    device: dict[str, Any] = {"device_scale_factor": 1.5, "has_touch": True, "is_mobile": True}
    _shoot(_asked(pages.open("/static/index.html#/chat", width=390, height=780, **device)), file)


def engine(pages: Pages, file: Path) -> None:
    """Some requests at once, in the middle of their answers."""
    page = pages.open("/static/index.html#/engine", width=1200, height=900)
    _is_shown(page, "Nothing is computed now.")
    with _crowd(pages.origin, [ECHO]):
        page.wait_for_timeout(12_000)
    with _crowd(pages.origin, [_story(number) for number in range(5)]):
        page.wait_for_function("() => document.querySelectorAll('.engine-row .badge.accent').length >= 5")
        page.wait_for_timeout(15_000)
        _shoot(page, file)


def chinese(pages: Pages, file: Path) -> None:
    """The models, in Chinese."""
    page = pages.open("/static/index.html#/models", width=1200, height=760, locale="zh-CN")
    _is_shown(page, "正在使用")
    _shoot(page, file)


PICTURES_OF: dict[str, Callable[[Pages, Path], None]] = {
    "chat": chat,
    "dark": dark,
    "phone": phone,
    "engine": engine,
    "chinese": chinese,
}


def _asked(page: Page) -> Page:
    """The likeliest answer, so that each picture shows the same."""
    message = page.get_by_label("Message", exact=True)
    expect(message).to_be_visible()
    page.keyboard.press("Alt+p")
    page.locator("#parameter-temperature").fill("0")
    page.locator(".parameters").get_by_role("button", name="Close", exact=True).click()
    message.fill(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator("article.assistant").get_by_text("first token")).to_be_visible()
    expect(page.locator("article.assistant .hljs-keyword").first).to_be_visible()
    return page


def _shoot(page: Page, file: Path) -> None:
    page.mouse.move(600, 400)
    page.wait_for_timeout(400)  # what moves comes to rest
    page.screenshot(path=file)


def _is_shown(page: Page, text: str) -> None:
    expect(page.get_by_text(text).first).to_be_visible()


@contextmanager
def _crowd(origin: str, prompts: Sequence[str]) -> Iterator[None]:
    """A long answer to each prompt, until the block ends."""
    leaving = threading.Event()
    clients = [threading.Thread(target=_read, args=(origin, prompt, leaving)) for prompt in prompts]
    for client in clients:
        client.start()
    yield
    leaving.set()
    for client in clients:
        client.join()


def _story(number: int) -> str:
    notes = "The river carries leaves, the dam holds the water, the pond grows. " * (4 + 3 * number)
    return f"Tell a long story about beaver number {number}. {notes}"


def _read(origin: str, prompt: str, leaving: threading.Event) -> None:
    body = {"messages": [{"role": "user", "content": prompt}], "stream": True, "max_tokens": 900, "ignore_eos": True}
    body |= {"temperature": 0} if prompt is ECHO else {}
    with httpx.stream("POST", origin + "/v1/chat/completions", json=body, timeout=60) as answer:
        for _line in answer.iter_lines():
            if leaving.is_set():
                return


if __name__ == "__main__":
    main()
