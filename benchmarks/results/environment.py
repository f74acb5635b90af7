"""What machine, software and models a figure was taken on."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("obeaver", "onnxruntime", "onnxruntime-genai", "numpy", "uvicorn", "tokenizers")
_PLUGIN_PREFIX = "onnxruntime-ep-"


def describe(files: Iterable[Path]) -> dict[str, Any]:
    """Environment of a run, for the JSON output.

    Args:
        files: Model files whose SHA-256 is recorded.
    """
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in (*_PACKAGES, *_plugins())},
        "commit": _commit(),
        "load_average": [round(each, 2) for each in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "models": {f"{path.parent.name}/{path.name}": _sha256(path) for path in files},
    }


def program_version(*command: str) -> str:
    """First line that a program says about its version; empty if it does not."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = [line.strip() for line in (answer.stdout + answer.stderr).splitlines() if "version" in line.lower()]
    return lines[0] if lines else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _plugins() -> list[str]:
    names = {each.name.lower().replace("_", "-") for each in importlib.metadata.distributions() if each.name}
    return sorted(name for name in names if name.startswith(_PLUGIN_PREFIX))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            check=False,
        )
    except OSError:
        return None
    return answer.stdout.strip() or None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
