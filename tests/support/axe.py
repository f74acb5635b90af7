"""axe-core, which finds what keeps people with assistive technology out; fetched by npm, once for a machine."""

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Page

VERSION = "4.14.1"

_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
ALL_RULES = {"type": "tag", "values": _TAGS}
COLOUR_RULES = {"type": "rule", "values": ("color-contrast", "link-in-text-block")}
"""Those of them that a theme's colours can break."""


_REST = """async () => {
    const frame = () => new Promise(requestAnimationFrame);
    await frame();
    const ending = document.getAnimations().filter(({ effect }) => effect.getComputedTiming().endTime !== Infinity);
    await Promise.all(ending.map(({ finished }) => finished.catch(() => {})));
    await frame();
}"""
"""Colours that are on their way from one theme to the other are nobody's choice."""


def axe_script() -> str:
    """The script to run in a page. Without npm, or where it finds nothing, the test is skipped, but fails in CI."""
    file = _cache() / f"axe-core-{VERSION}.js"
    if not file.is_file():
        _fetch(file)
    return file.read_text(encoding="utf-8")


def violations(page: Page, script: str, rules: Mapping[str, object] = ALL_RULES) -> list[str]:
    """What is wrong on a page as it stands: the rule and where. The page's context must bypass its CSP.

    Args:
        page: What to look at.
        script: axe-core.
        rules: Those that count.
    """
    page.evaluate(_REST)
    page.evaluate(f"() => {{ if (!window.axe) {{ {script} }} }}")
    found: list[dict[str, Any]] = page.evaluate(
        "async runOnly => (await axe.run(document, { runOnly, resultTypes: ['violations'] })).violations", rules
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
