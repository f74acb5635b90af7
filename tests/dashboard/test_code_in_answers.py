"""Code in an answer, in whatever pieces it arrives."""

import pytest
from playwright.sync_api import expect
from support.browser import Pages

from dashboard.chat_page import ask, close_parameters, open_chat, open_parameters

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_code_has_colours_and_its_language_though_its_fence_arrives_before_them(pages: Pages) -> None:
    """A real model's tokens: the fence is one, the language another."""
    page = open_chat(pages, tokens=200)
    open_parameters(page)
    page.get_by_label("Form of the answer").select_option("regex")
    page.get_by_label("Definition of the form").fill("```python\\ndef f\\(\\):\\n    return 1\\n```")
    close_parameters(page)
    answer = ask(page, "Write a function.")
    expect(answer.locator(".code-language")).to_have_text("python")
    expect(answer.locator(".hljs-keyword").first).to_have_text("def")
