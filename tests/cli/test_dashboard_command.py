"""`obeaver dashboard` as a process: from the project's tree, and from a wheel that was installed elsewhere."""

import json
import os
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from support.server_process import ServerProcess, running, serve

from obeaver.cli.browser import reachable
from obeaver.cli.parser import build_parser
from obeaver.config import load_settings
from obeaver.errors import CommandError

ROOT = Path(__file__).parents[2]


def get(server: ServerProcess, path: str) -> bytes:
    with urllib.request.urlopen(server.url + path, timeout=60) as answer:  # noqa: S310
        body: bytes = answer.read()
    return body


def test_the_dashboard_takes_what_serve_takes_and_opens_a_browser() -> None:
    parser = build_parser()
    flags = vars(parser.parse_args(["dashboard", "one", "two", "--max-rows", "3", "--open"]))
    assert flags["models"] == ["one", "two"]
    settings = load_settings(flags, {}, port=1573)
    assert (settings.port, settings.max_rows, settings.open) == (1573, 3, True)
    assert parser.parse_args(["dashboard"]).models == []
    with pytest.raises(SystemExit):
        parser.parse_args(["serve", "--open"])


def test_a_variable_that_opens_a_browser_is_understood() -> None:
    assert load_settings({}, {"OBEAVER_OPEN": "1"}).open
    with pytest.raises(CommandError, match="OBEAVER_OPEN must be 1 or 0"):
        load_settings({}, {"OBEAVER_OPEN": "firefox"})


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:1573", "http://127.0.0.1:1573/"),
        ("http://0.0.0.0:80", "http://127.0.0.1:80/"),
        ("http://[::]:80", "http://[::1]:80/"),
        ("http://192.168.0.7:80", "http://192.168.0.7:80/"),
    ],
)
def test_a_browser_goes_where_this_machine_reaches_the_server(url: str, address: str) -> None:
    assert reachable(url) == address


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for a browser is a shell script")
def test_the_dashboard_starts_without_a_model_and_opens_the_browser(tmp_path: Path) -> None:
    browser, visited = tmp_path / "browser", tmp_path / "visited"
    browser.write_text(f'#!/bin/sh\necho "$1" > {visited}.new && mv {visited}.new {visited}\n', encoding="utf-8")
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    home = str(tmp_path / "home")
    with serve("--open", command="dashboard", OBEAVER_HOME=home, BROWSER=f"{browser} %s") as server:
        assert json.loads(get(server, "/health"))["model"] is None
        assert b"<!doctype html>" in get(server, "/").lower()  # the redirect was followed
        deadline = time.monotonic() + 60
        while not visited.exists():
            assert time.monotonic() < deadline, "the browser was not opened"
            time.sleep(0.05)
        assert visited.read_text(encoding="utf-8").strip() == server.url + "/"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with obeaver's wheel, and with what it depends on taken from this one."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    (package,) = environment.rglob("obeaver/__init__.py")
    # A path in a .pth file brings its packages, and not the .pth files there: this tree stays out.
    shared = [path for path in sys.path if path.endswith("site-packages")]
    (package.parents[1] / "shared.pth").write_text("\n".join(shared), encoding="utf-8")
    return python


def test_an_installed_wheel_has_every_file_of_the_page(installed: Path) -> None:
    (page,) = installed.parents[1].rglob("obeaver/static")
    assert files(page) == files(ROOT / "static")


def test_an_installed_wheel_serves_the_page(installed: Path, tmp_path: Path) -> None:
    which = [str(installed), "-c", "import obeaver; print(obeaver.__file__)"]
    found = subprocess.run(which, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(installed.parents[1])
    line = [str(installed), "-m", "obeaver", "dashboard", "--port", "0"]
    with running(line, {"OBEAVER_HOME": str(tmp_path / "home")}, tmp_path) as server:
        assert get(server, "/static/index.html") == (ROOT / "static" / "index.html").read_bytes()


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
