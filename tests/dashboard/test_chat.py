"""The chat, on a real model: streaming, stopping, branches, parameters, forms, tools, and what is kept."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.browser import Pages, eventually, health
from support.server_process import serve

from dashboard.chat_page import (
    ask,
    body,
    close_parameters,
    import_file,
    last_answer,
    open_chat,
    open_parameters,
    save_export,
    say,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]

QUESTION = "Why do beavers build dams?"
ENDLESS = "8000"
"""Tokens of an answer that is stopped; nearly all that the model's context has, so that no machine ends it before."""

KEPT_DRAFTS = """() => new Promise((resolve, reject) => {
    const opening = indexedDB.open("obeaver");
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
        const asking = opening.result.transaction("conversations").objectStore("conversations").getAll();
        asking.onerror = () => reject(asking.error);
        asking.onsuccess = () => (opening.result.close(), resolve(asking.result.map(({ draft }) => draft)));
    };
})"""


def test_an_answer_streams_and_says_what_it_took(pages: Pages) -> None:
    page = open_chat(pages)
    sent = say(page, QUESTION)
    answer = last_answer(page)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("The answer is complete.")
    figures = answer.locator(".figures")
    for words in (
        "tokens/s",
        "first token in",
        "prompt tokens",
        "24 answer tokens",
        "cut at its limit",
        "smollm2-135m",
    ):
        expect(figures).to_contain_text(words)
    expect(figures).to_contain_text(f"seed {body(sent)['seed']}")
    assert len(answer.locator(".answer").inner_text()) > 20


def test_the_same_seed_gives_the_same_answer_and_the_code_shows_the_very_request(pages: Pages) -> None:
    page = open_chat(pages, tokens=None)
    open_parameters(page)
    page.get_by_label("max_tokens", exact=True).fill("24")
    close_parameters(page)
    sent = body(say(page, QUESTION))
    answer = last_answer(page)
    answer.get_by_role("button", name="Show the request as code").click()
    code = page.locator("dialog .code-block code")
    shown = json.loads(re.findall(r"-d '(\{.*\})'", code.inner_text(), re.DOTALL)[0].replace("'\\''", "'"))
    assert shown == sent
    page.get_by_role("button", name="Python").click()
    expect(code).to_contain_text(f"seed={sent['seed']}")
    page.keyboard.press("Escape")
    answered = page.request.post("/v1/chat/completions", data={**sent, "stream": False, "stream_options": None})
    text = answered.json()["choices"][0]["message"]["content"]
    expect(page.locator(".turn.assistant .answer")).to_have_text(re.compile(re.escape(text.split()[0])))


def test_escape_stops_an_answer_which_is_kept_and_goes_on_to_the_token(pages: Pages) -> None:
    page = open_chat(pages, tokens=None)
    open_parameters(page)
    page.get_by_label("max_tokens", exact=True).fill(ENDLESS)
    page.get_by_text("More parameters").click()
    page.get_by_label("ignore_eos", exact=True).check()
    close_parameters(page)
    say(page, "Count from one to a thousand in words.")
    expect(page.locator(".turn.assistant .answer")).to_contain_text(re.compile(r"\w+ \w+"))
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.keyboard.press("Escape")
    for words in ("stopped", "tokens/s", re.compile(r"[1-9]\d* answer tokens?")):
        expect(last_answer(page).locator(".figures")).to_contain_text(words)
    eventually(page, lambda: health(pages.origin)["num_running"] == 0)
    before = page.locator(".turn.assistant .answer").inner_text()
    with page.expect_request("**/v1/completions") as sent:
        page.get_by_role("button", name="Continue this answer").click()
    assert isinstance(body(sent.value)["prompt"][0], int)
    eventually(page, lambda: len(page.locator(".turn.assistant .answer").inner_text()) > len(before) + 20)
    page.keyboard.press("Escape")
    assert last_answer(page).locator(".answer").inner_text().startswith(before[: len(before) // 2])
    expect(last_answer(page).locator(".figures")).to_contain_text("tokens/s")


def test_editing_and_asking_again_make_branches_that_can_be_stepped_through(pages: Pages) -> None:
    page = open_chat(pages, tokens=8)
    ask(page, QUESTION)
    page.get_by_role("button", name="Answer again").click()
    answer = last_answer(page)
    expect(answer.get_by_role("group", name="Versions")).to_contain_text("2/2")
    page.get_by_role("button", name="Version before").click()
    expect(page.locator(".turn.assistant").get_by_role("group", name="Versions")).to_contain_text("1/2")
    page.locator(".turn.user").hover()
    page.locator(".turn.user").get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Edit").fill("And why not?")
    page.keyboard.press("Enter")
    last_answer(page)
    expect(page.locator(".turn.user")).to_contain_text("And why not?")
    page.locator(".turn.user").get_by_role("button", name="Version before").click()
    expect(page.locator(".turn.user")).to_contain_text(QUESTION)
    expect(page.locator(".turn.assistant").get_by_role("group", name="Versions")).to_contain_text("/2")


def test_parameters_and_presets_reach_the_request_and_wrong_ones_are_told(pages: Pages) -> None:
    page = open_chat(pages, tokens=None)
    open_parameters(page)
    page.get_by_role("button", name="Server's defaults").click()
    page.get_by_role("menuitemradio", name="Precise").click()
    expect(page.get_by_label("temperature", exact=True)).to_have_value("0.2")
    page.get_by_label("temperature", exact=True).fill("7")
    expect(page.get_by_text("From 0 to 2.")).to_be_visible()
    page.get_by_label("temperature", exact=True).fill("0.3")
    expect(page.get_by_text("From 0 to 2.")).to_be_hidden()
    page.get_by_label("seed", exact=True).fill("42")
    page.get_by_label("max_tokens", exact=True).fill("5")
    page.get_by_label("stop", exact=True).fill("END\nSTOP")
    page.get_by_label("System prompt", exact=True).fill("Answer briefly.")
    page.get_by_role("button", name="Custom").click()
    page.get_by_role("menuitem", name="Keep as a preset").click()
    page.get_by_label("Name of the preset").fill("Mine")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Mine")).to_be_visible()
    sent = body(say(page, QUESTION))
    assert sent["messages"][0] == {"role": "system", "content": "Answer briefly."}
    kept = {"temperature": 0.3, "top_p": 0.9, "top_k": 20, "seed": 42, "max_tokens": 5, "stop": ["END", "STOP"]}
    assert {name: sent[name] for name in kept} == kept


def test_an_answer_under_a_json_schema_is_a_tree_and_the_editor_says_what_is_wrong(pages: Pages) -> None:
    page = open_chat(pages, tokens=100)
    open_parameters(page)
    page.get_by_label("Form of the answer").select_option("json_schema")
    page.get_by_label("Definition of the form").fill('{"type": "object",\n  "properties": }')
    expect(page.locator("#form-fault")).to_contain_text("Line 2, column 17: a value is needed here")
    page.get_by_label("Definition of the form").fill('{"$ref": "#/nowhere"}')
    pages.allow("status of 400")
    page.get_by_role("button", name="Check with the server").click()
    expect(page.locator("#form-fault")).to_contain_text("/nowhere")
    schema = {"type": "object", "properties": {"age": {"type": "integer", "maximum": 9}}, "required": ["age"]}
    page.get_by_label("Definition of the form").fill(json.dumps(schema))
    sent = body(say(page, "How old is the kit?"))
    assert sent["response_format"]["json_schema"]["schema"] == schema
    answer = last_answer(page)
    expect(answer.locator(".json-tree .json-name")).to_have_text("age")
    assert int(answer.locator(".json-number").inner_text()) <= 9


def test_a_tool_call_is_a_card_that_takes_the_result(pages: Pages) -> None:
    page = open_chat(pages, tokens=60)
    open_parameters(page)
    page.get_by_label("Tools").fill('[{"type": "function"}]')
    expect(page.locator("#tools-fault")).to_contain_text("Tool 1")
    page.get_by_role("button", name="Example").click()
    expect(page.locator("#tools-fault")).to_be_empty()
    page.get_by_label("Calls", exact=True).select_option("required")
    page.get_by_text("More parameters").click()
    page.get_by_label("parallel_tool_calls", exact=True).uncheck()
    close_parameters(page)
    say(page, "What is the weather in Paris?")
    card = last_answer(page).locator(".tool-card").first
    expect(card).to_contain_text("get_weather")
    expect(card.locator(".json-name")).to_have_text("city")
    for result in page.get_by_label("Result").all():
        result.fill("sunny, 21 degrees")
    with page.expect_request("**/v1/chat/completions") as sent:
        page.get_by_role("button", name="Send the result").click()
    messages = body(sent.value)["messages"]
    assert messages[-1] == {
        "role": "tool",
        "tool_call_id": messages[1]["tool_calls"][-1]["id"],
        "content": "sunny, 21 degrees",
    }
    last_answer(page)
    expect(page.locator(".turn.assistant").first).to_contain_text("sunny, 21 degrees")


def test_a_text_file_is_attached_and_counted_and_a_picture_is_refused_in_words(pages: Pages, tmp_path: Path) -> None:
    source, picture = tmp_path / "dam.py", tmp_path / "dam.png"
    source.write_text("height = 2.5\n")
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    page = open_chat(pages, tokens=4)
    page.locator("input[type=file]").set_input_files([source, picture])
    expect(page.locator(".chip")).to_contain_text(re.compile(r"dam\.py.*\d+ tokens"))
    expect(page.get_by_text("dam.png: this model reads text only")).to_be_visible()
    sent = body(say(page, "What is this?"))
    assert sent["messages"][-1]["content"] == "dam.py:\n```\nheight = 2.5\n```\n\nWhat is this?"
    last_answer(page)


def test_a_reload_finds_the_conversation_and_the_draft(pages: Pages) -> None:
    page = open_chat(pages, tokens=8)
    said = ask(page, QUESTION).locator(".answer").inner_text()
    page.locator(".composer-input").fill("Not sent yet")
    eventually(page, lambda: page.evaluate(KEPT_DRAFTS) == ["Not sent yet"])
    page.reload()
    expect(page.locator(".turn.assistant .answer")).to_have_text(said)
    expect(page.locator(".composer-input")).to_have_value("Not sent yet")


def test_a_browser_that_keeps_nothing_is_told_of_and_works_in_memory(pages: Pages) -> None:
    page = open_chat(pages, tokens=None)
    page.add_init_script("Object.defineProperty(window, 'indexedDB', { value: undefined })")
    page.reload()
    expect(page.get_by_text("This browser keeps nothing here")).to_be_visible()
    say(page, QUESTION)
    expect(page.locator(".turn.assistant .answer")).to_contain_text(re.compile(r"\w"))
    page.keyboard.press("Escape")
    last_answer(page)
    expect(page.locator(".conversation")).to_have_count(1)


def test_a_deleted_conversation_does_not_come_back_by_itself(pages: Pages) -> None:
    page = open_chat(pages, tokens=4)
    ask(page, QUESTION)
    page.locator(".composer-input").fill("A draft of the last moment")
    _act(page, QUESTION, "Delete")
    expect(page.get_by_role("heading", name="What shall we build?")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Conversations appear here.")).to_be_visible()


def test_what_the_server_refuses_is_told_in_its_words_where_it_belongs(pages: Pages) -> None:
    page = open_chat(pages, tokens=4)
    pages.allow("status of 400")
    open_parameters(page)
    page.get_by_label("Form of the answer").select_option("regex")
    page.get_by_label("Definition of the form").fill("(a")
    say(page, QUESTION)
    expect(page.locator(".error-box")).to_contain_text("unclosed group")
    expect(page.locator("#form-fault")).to_contain_text("unclosed group")
    page.get_by_label("Definition of the form").fill("yes|no")
    page.get_by_role("button", name="Try again").click()
    expect(last_answer(page).locator(".answer")).to_have_text(re.compile("yes|no"))


def test_conversations_are_searched_renamed_pinned_and_deleted_with_a_way_back(pages: Pages) -> None:
    page = open_chat(pages, tokens=4)
    for question in ("About rivers", "About forests"):
        page.keyboard.press("Alt+n")
        ask(page, question)
    page.get_by_role("searchbox").fill("river")
    expect(page.locator(".conversation")).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    expect(page.locator(".conversation")).to_have_count(2)
    _act(page, "About rivers", "Rename")
    page.get_by_role("textbox", name="Name").fill("Water")
    page.get_by_role("button", name="Save").click()
    _act(page, "Water", "Pin")
    expect(page.locator(".group-name").first).to_have_text("Pinned")
    _act(page, "Water", "Delete")
    expect(page.locator(".conversation")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("link", name="Water")).to_be_visible()
    page.get_by_role("link", name="Water").click()
    expect(page.locator(".turn.user")).to_contain_text("About rivers")


def test_an_export_can_be_imported_and_markdown_reads_like_the_conversation(pages: Pages, tmp_path: Path) -> None:
    page = open_chat(pages, tokens=8)
    said = ask(page, QUESTION).locator(".answer").inner_text()
    markdown = _saved(page, "Export as Markdown", tmp_path / "a.md")
    assert markdown.startswith(f"# {QUESTION}\n\n## You\n\n{QUESTION}\n\n## Answer\n\n")
    assert said.split()[0] in markdown
    _saved(page, "Export as JSON", tmp_path / "a.json")
    other = open_chat(pages, tokens=None)
    other.get_by_role("button", name="Import and export").click()
    with other.expect_file_chooser() as chooser:
        other.get_by_role("menuitem", name="Import from JSON").click()
    chooser.value.set_files(tmp_path / "a.json")
    other.get_by_role("link", name=QUESTION).click()
    expect(other.locator(".turn.assistant .answer")).to_have_text(said)


def test_a_long_conversation_renders_only_what_is_near(pages: Pages, tmp_path: Path) -> None:
    save_export(tmp_path / "long.json", *(f"Answer {at} with **strong** words.\n\n- one\n- two" for at in range(500)))
    page = open_chat(pages, tokens=None)
    import_file(page, tmp_path / "long.json")
    expect(page.locator(".turn.assistant").last.locator("strong")).to_be_visible()
    expect(page.locator(".turn")).to_have_count(1000)
    assert page.locator(".turn strong").count() < 100
    page.locator(".thread").evaluate("thread => { thread.scrollTop = 0; }")
    expect(page.locator(".turn.assistant").first.locator("strong")).to_be_visible()


def test_the_keyboard_alone_is_enough(pages: Pages) -> None:
    page = pages.open("/static/index.html#/models")
    expect(page.locator(".server-line")).to_have_text("smollm2-135m")
    page.keyboard.press("Alt+n")
    expect(page.locator(".composer-input")).to_be_focused()
    page.keyboard.press("Alt+m")
    expect(page.get_by_role("menuitemradio", name="smollm2-135m")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("Stop the answer")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("Name a tree.")
    page.keyboard.press("Enter")
    expect(page.locator(".turn.assistant .answer")).to_contain_text(re.compile(r"\w"))
    page.keyboard.press("Escape")
    last_answer(page)


def test_chinese_dark_and_360_px_wide(pages: Pages) -> None:
    page = pages.open("/static/index.html#/settings", width=360, height=740)
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="设置")).to_be_visible()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="深色").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.get_by_role("button", name="菜单").click()
    page.get_by_role("link", name="对话", exact=True).click()
    expect(page.get_by_role("heading", name="今天想做点什么？")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.reload()
    expect(page.get_by_role("heading", name="今天想做点什么？")).to_be_visible()


def test_a_server_with_a_key_is_asked_for_it_and_the_browser_keeps_it_nowhere(visit: Callable[[str], Pages]) -> None:
    with serve("smollm2-135m", "--offline", command="dashboard", OBEAVER_API_KEY="river-1234") as server:
        pages = visit(server.url)
        page = pages.open("/static/index.html#/chat")
        pages.allow("status of 401|ERR_CONNECTION_REFUSED")
        page.locator(".composer-input").fill("Hello")
        page.locator(".composer-input").press("Enter")
        dialog = page.get_by_role("dialog", name="This server wants a key")
        dialog.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("The server refused that key.")
        dialog.get_by_label("API key").fill("river-1234")
        page.keyboard.press("Enter")
        expect(page.locator(".turn.assistant .answer")).to_contain_text(re.compile(r"\w"))
        page.keyboard.press("Escape")
        last_answer(page)
        assert "river-1234" not in page.evaluate(
            "JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie"
        )
        page.reload()
        page.locator(".composer-input").fill("Again")
        page.locator(".composer-input").press("Enter")
        expect(page.get_by_role("dialog", name="This server wants a key")).to_be_visible()


def _act(page: Page, title: str, action: str) -> None:
    page.locator(".conversation", has_text=title).hover()
    page.get_by_role("button", name=f"Actions for {title}").click()
    page.get_by_role("menuitem", name=action, exact=True).click()


def _saved(page: Page, action: str, path: Path) -> str:
    page.get_by_role("button", name="More for this conversation").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=action).click()
    download.value.save_as(path)
    return path.read_text(encoding="utf-8")
