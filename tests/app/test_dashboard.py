"""The dashboard's server: the chat server with a page, which may begin without a model."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support import asgi
from support.chat_app import ServedChat, make_model, serving

from obeaver.app.dashboard import dashboard_application, page_folder
from obeaver.errors import CommandError
from obeaver.models.store import Store

HI = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 8}
PAGE = "/static/index.html"
POLICY = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'"


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[ServedChat]:
    """A dashboard without a model; its store has one."""
    make_model(Store(tmp_path), "one")
    async with serving(tmp_path, make=dashboard_application) as served:
        yield served


async def test_the_root_leads_to_the_page(empty: ServedChat) -> None:
    reply = await asgi.request(empty.app, "GET", "/")
    assert (reply.status, reply.headers["location"], reply.body) == (307, PAGE, b"")


async def test_the_page_is_sent_with_the_policy_that_lets_nothing_foreign_in(empty: ServedChat) -> None:
    reply = await asgi.request(empty.app, "GET", PAGE)
    assert reply.status == 200
    assert b"<!doctype html>" in reply.body.lower()
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-security-policy"] == POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "camera=()" in reply.headers["permissions-policy"]
    again = await asgi.request(empty.app, "GET", PAGE, headers={"if-none-match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    head = await asgi.request(empty.app, "HEAD", PAGE)
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(reply.body)), b"")


@pytest.mark.parametrize("path", ["/static/../pyproject.toml", "/static/%2e%2e/pyproject.toml", "/static/none.html"])
async def test_nothing_but_files_of_the_page_is_sent(empty: ServedChat, path: str) -> None:
    reply = await asgi.request(empty.app, "GET", path)
    assert (reply.status, reply.error["code"]) == (404, "not_found")


async def test_without_a_model_the_server_says_so_everywhere(empty: ServedChat) -> None:
    chat = await asgi.request(empty.app, "POST", "/v1/chat/completions", data=HI)
    assert (chat.status, chat.error["code"]) == (503, "model_not_loaded")
    assert "/api/models/load" in chat.error["message"]
    assert (await empty.get("/v1/models"))["data"] == []
    health = await empty.get("/health")
    assert (health["status"], health["model"], health["models"]) == ("ok", None, [])
    available = await empty.get("/api/models/available")
    assert (available["current"], [row["alias"] for row in available["models"]]) == (None, ["one"])


async def test_the_first_model_is_loaded_by_a_request(empty: ServedChat) -> None:
    assert (await empty.load(alias="one")).json() == {"status": "ok", "model": "one"}
    model, _ = await empty.answer()
    assert model == "one"
    assert (await empty.get("/health"))["model"] == "one"


async def test_a_dashboard_with_a_model_answers_from_the_start(tmp_path: Path) -> None:
    make_model(Store(tmp_path), "one")
    async with serving(tmp_path, "one", make=dashboard_application) as served:
        assert (await served.answer())[0] == "one"


async def test_every_route_of_the_dashboard_is_described(empty: ServedChat) -> None:
    paths = (await empty.get("/openapi.json"))["paths"]
    assert next(iter(paths["/"]["get"]["responses"])) == "307"
    assert "/static/{path}" in paths
    assert "/v1/chat/completions" in paths
    docs = await asgi.request(empty.app, "GET", "/docs")
    assert b"GET /static/{path}" in docs.body


async def test_with_a_key_the_page_is_open_and_everything_else_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path, make=dashboard_application, api_key=("secret",)) as served:
        for path in ("/", PAGE, "/health"):
            assert (await asgi.request(served.app, "GET", path)).status != 401
        closed = ("/v1/models", "/api/models/available", "/metrics", "/openapi.json", "/static", "/static/../metrics")
        replies = {path: await asgi.request(served.app, "GET", path) for path in closed}
        assert {path: reply.status for path, reply in replies.items()} == {
            **dict.fromkeys(closed, 401),
            "/static/../metrics": 404,
        }
        named = await asgi.request(served.app, "GET", "/v1/models", headers={"authorization": "Bearer secret"})
        assert named.status == 200


async def test_the_description_is_a_page_that_runs_and_loads_nothing(empty: ServedChat) -> None:
    docs = await asgi.request(empty.app, "GET", "/docs")
    (style,) = re.findall(r"<style>(.*?)</style>", docs.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = docs.headers["content-security-policy"].split("; ")
    assert policy[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "frame-ancestors 'none'" in policy
    assert "style=" not in docs.body.decode()


@pytest.mark.parametrize("path", [PAGE, "/static/"])
async def test_the_chat_server_has_no_page(tmp_path: Path, path: str) -> None:
    make_model(Store(tmp_path), "one")
    async with serving(tmp_path, "one") as served:
        assert (await asgi.request(served.app, "GET", path)).status == 404


def test_a_package_without_its_page_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="the files of the page are missing"):
        page_folder(tmp_path / "obeaver")


def test_an_installed_page_is_found_before_one_beside_the_package(tmp_path: Path) -> None:
    inside, beside = tmp_path / "obeaver" / "static", tmp_path / "static"
    for folder in (beside, inside):
        folder.mkdir(parents=True)
        (folder / "index.html").touch()
    assert page_folder(tmp_path / "obeaver") == inside
