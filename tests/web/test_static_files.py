"""Files of a folder: the right ones, with the right headers, and nothing outside of it."""

from pathlib import Path

import pytest
from support.asgi import Reply, request

from obeaver.errors import NotFound
from obeaver.web.router import Route, Router
from obeaver.web.static_files import StaticFiles


@pytest.fixture
def app(tmp_path: Path) -> Router:
    root = tmp_path / "static"
    (root / "js").mkdir(parents=True)
    (root / "index.html").write_text("<p>é", encoding="utf-8")
    (root / "js" / "app.js").write_text("let x = 1", encoding="utf-8")
    (root / "data.bin").write_bytes(b"\0\1")
    (root / ".hidden").write_text("hidden")
    (root / "..odd").write_text("odd")
    (root / "inner.js").symlink_to(root / "js" / "app.js")
    (root / "leak").symlink_to(tmp_path / "secret.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "static-other").mkdir()
    (tmp_path / "static-other" / "x.txt").write_text("other")
    return Router([Route("GET", "/static/{path:path}", StaticFiles(root, headers={"x-frame-options": "DENY"}))])


async def get(app: Router, path: str, **headers: str) -> Reply:
    return await request(app, "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("path", "media_type", "body"),
    [
        ("/static/index.html", "text/html; charset=utf-8", "<p>é".encode()),
        ("/static/js/app.js", "text/javascript; charset=utf-8", b"let x = 1"),
        ("/static/js%2Fapp.js", "text/javascript; charset=utf-8", b"let x = 1"),
        ("/static/inner.js", "text/javascript; charset=utf-8", b"let x = 1"),
        ("/static/data.bin", "application/octet-stream", b"\0\1"),
    ],
)
async def test_a_file_is_sent_with_its_type(app: Router, path: str, media_type: str, body: bytes) -> None:
    reply = await get(app, path)

    assert (reply.status, reply.body) == (200, body)
    assert reply.headers["content-type"] == media_type
    assert reply.headers["content-length"] == str(len(body))
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "path",
    [
        "/static/nothing.html",
        "/static/js",
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2Fsecret.txt",
        "/static/js/../../secret.txt",
        "/static/..%5Csecret.txt",
        "/static/js/./app.js",
        "/static/js//app.js",
        "/static//etc/passwd",
        "/static/%2Fetc%2Fpasswd",
        "/static/C:%5Cwindows",
        "/static/index.html%00.js",
        "/static/.hidden",
        "/static/..odd",
        "/static/leak",
        "/static/up/secret.txt",
        "/static/up/static-other/x.txt",
        "/static/dangling",
        "/static/index.html/x",
        "/static/" + "x" * 5000,
        "/static/%FF",
    ],
)
async def test_whatever_is_not_a_plain_file_of_the_folder_is_not_found(app: Router, path: str) -> None:
    with pytest.raises(NotFound):
        await get(app, path)


async def test_a_file_that_the_browser_has_is_not_sent_again(app: Router) -> None:
    etag = (await get(app, "/static/index.html")).headers["etag"]

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        reply = await get(app, "/static/index.html", if_none_match=known)
        assert (reply.status, reply.body) == (304, b"")
        assert reply.headers["etag"] == etag


async def test_a_file_that_has_changed_is_sent_again(app: Router, tmp_path: Path) -> None:
    old = (await get(app, "/static/index.html")).headers["etag"]
    (tmp_path / "static" / "index.html").write_text("<p>new text", encoding="utf-8")

    reply = await get(app, "/static/index.html", if_none_match=old)

    assert (reply.status, reply.body) == (200, b"<p>new text")


async def test_head_tells_the_length_and_sends_nothing(app: Router) -> None:
    reply = await request(app, "HEAD", "/static/js/app.js")

    assert (reply.status, reply.headers["content-length"], reply.body) == (200, "9", b"")
