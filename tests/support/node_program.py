"""Programs for Node with packages of npm's, which are fetched once into the user's cache."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from conformance.live import CannotRun, node_packages

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
_TIMEOUT_S = 600
_TRIES = 3
"""A registry may fail once."""


def packages(names: Sequence[str], cache_name: str) -> Path:
    """The folder with these packages. Without Node or npm the test is skipped; where CI is set, it fails.

    Args:
        names: Packages.
        cache_name: Of a folder in the user's cache.
    """
    reasons = []
    for _ in range(_TRIES):
        try:
            return node_packages(names, _CACHE / cache_name)
        except CannotRun as reason:
            reasons.append(str(reason))
    if os.environ.get("CI"):
        pytest.fail(reasons[-1])
    pytest.skip(reasons[-1])


def run(program: Path, *words: str) -> Any:
    """The JSON value that a program prints."""
    line = ["node", str(program), *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
