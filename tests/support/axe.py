"""axe-core, which finds what keeps people with assistive technology out; fetched by npm, once for a machine."""

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Page

VERSION = "4.14.1"

_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def axe_script() -> str:
    """The script to run in a page. Without npm, or where it finds nothing, the test is skipped, but fails in CI."""
    file = _cache() / f"axe-core-{VERSION}.js"
    if not file.is_file():
        _fetch(file)
    return file.read_text(encoding="utf-8")


def violations(page: Page, script: str) -> list[str]:
    """What is wrong on a page as it stands: the rule and where. The page's context must bypass its CSP."""
    page.evaluate(script)
    found: list[dict[str, Any]] = page.evaluate(
        "async tags => (await axe.run(document, { runOnly: tags, resultTypes: ['violations'] })).violations",
        list(_RULES),
    )
    return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]


def _cache() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "obeaver-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _fetch(file: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        _give_up("npm is not on this machine (apt-get install npm): axe-core did not look at the page")
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", "--silent", "--pack-destination", scratch, f"axe-core@{VERSION}"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if result.returncode != 0:
            _give_up(f"npm could not fetch axe-core, which was to look at the page: {result.stderr.strip()}")
        (archive,) = Path(scratch).glob("*.tgz")
        with tarfile.open(archive) as tar:
            script = tar.extractfile("package/axe.min.js")
            assert script is not None
            partial = file.with_suffix(f".{os.getpid()}")
            partial.write_bytes(script.read())
            partial.replace(file)


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
