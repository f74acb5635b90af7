"""A model without a chat template goes on with texts; conversations are refused in each dialect's own words."""

from pathlib import Path
from typing import Any

import pytest
from support import asgi
from support.chat_app import ServedChat, make_model, serving

from obeaver.app.dashboard import dashboard_application
from obeaver.app.given_template import check_given_template
from obeaver.config import Settings
from obeaver.errors import CommandError
from obeaver.models.store import Store

USER = [{"role": "user", "content": "Hi"}]
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
WORDS = "base has no chat template"


def base_model(tmp_path: Path) -> Path:
    """A store with such a model; returns it."""
    made = make_model(Store(tmp_path / "made"), "base")
    (made.folder / "chat_template.jinja").unlink()
    made.folder.joinpath("store.json").unlink()
    return made.folder


async def post(served: ServedChat, path: str, **body: Any) -> asgi.Reply:
    return await asgi.request(served.app, "POST", path, data=body)


async def test_texts_are_gone_on_with_and_conversations_are_a_400_that_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", base_model(tmp_path)) as served:
        text = await post(served, "/v1/completions", prompt="Hi", max_tokens=4, temperature=0)
        raw = await post(served, "/api/generate", model="base", prompt="Hi", raw=True, stream=False)
        chat = await post(served, "/v1/chat/completions", messages=USER)
        stream = await post(served, "/v1/chat/completions", messages=USER, stream=True)
        health = await served.get("/health")
    assert (text.status, text.json()["usage"]["completion_tokens"]) == (200, 4)
    assert raw.status == 200
    for refused in (chat, stream):
        assert (refused.status, refused.json()["error"]["code"]) == (400, "no_chat_template")
        assert refused.json()["error"]["message"].startswith(WORDS)
        assert "POST /v1/completions" in refused.json()["error"]["message"]
    assert health["chat_template"] is False


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/v1/responses", {"input": "Hi"}, ("error", "message")),
        ("/v1/responses/input_tokens", {"input": "Hi"}, ("error", "message")),
        ("/v1/messages", {"messages": USER, "max_tokens": 4}, ("error", "message")),
        ("/v1/messages/count_tokens", {"messages": USER}, ("error", "message")),
        ("/api/chat", {"messages": USER}, ("error",)),
    ],
)
async def test_each_dialect_says_it_in_its_own_shape(
    tmp_path: Path, path: str, body: dict[str, Any], place: tuple[str, ...]
) -> None:
    async with serving(tmp_path / "home", base_model(tmp_path)) as served:
        refused = await post(served, path, model="base", **body)
    told: Any = refused.json()
    for key in place:
        told = told[key]
    assert refused.status == 400, refused.body
    assert told.startswith(WORDS)


async def test_the_dashboard_serves_it_and_lists_it_as_the_one_that_is_there(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", base_model(tmp_path), make=dashboard_application) as served:
        available = await served.get("/api/models/available")
        refused = await post(served, "/v1/chat/completions", messages=USER)
    assert available["current"] == "base"
    assert [model["alias"] for model in available["models"]] == ["base"]
    assert refused.json()["error"]["message"].startswith(WORDS)


async def test_a_template_that_is_given_makes_it_answer(tmp_path: Path) -> None:
    (file := tmp_path / "template.jinja").write_text(TEMPLATE, encoding="utf-8")
    async with serving(tmp_path / "home", base_model(tmp_path), chat_template=str(file)) as served:
        name, _ = await served.answer()
        counted = await post(served, "/v1/tokenize", messages=USER)
        plain = await post(served, "/v1/tokenize", prompt="<user>Hi", add_special_tokens=False)
    assert name == "base"
    assert counted.json()["count"] == plain.json()["count"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"{% for m in messages %}", "template.jinja: "),
        (b"caf\xe9", "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_template_is_one_line_at_the_start(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "template.jinja"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError) as told:
        check_given_template(Settings(chat_template=str(file)), 1)
    assert str(told.value).startswith(f"--chat-template {file}")
    assert message in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("count", [0, 2])
def test_a_template_is_for_one_model(tmp_path: Path, count: int) -> None:
    (file := tmp_path / "template.jinja").write_text(TEMPLATE, encoding="utf-8")
    with pytest.raises(CommandError, match="is for one model"):
        check_given_template(Settings(chat_template=str(file)), count)
