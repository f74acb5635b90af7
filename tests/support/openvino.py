"""The second provider that tests run: OpenVINO's plugin, which computes on Intel's processors."""

import subprocess
import sys

import pytest

# In a process of its own: plugins stay loaded once they are.
_LOOKS_FOR_IT = """
from obeaver.engine.sessions.providers import available_providers
print([provider.problem for provider in available_providers() if provider.name == "openvino" and not provider.devices])
print(any(provider.name == "openvino" for provider in available_providers()))
"""


def _reason_to_skip() -> str:
    """Why OpenVINO cannot compute here; empty where it can."""
    found = subprocess.run([sys.executable, "-c", _LOOKS_FOR_IT], capture_output=True, text=True, check=True)
    problems, is_installed = found.stdout.splitlines()[-2:]
    if is_installed != "True":
        return "onnxruntime-ep-openvino is not installed (x86-64 alone)"
    return "" if problems == "[]" else f"onnxruntime-ep-openvino cannot be used here: {problems}"


_REASON = _reason_to_skip()
needs_openvino = pytest.mark.skipif(_REASON != "", reason=_REASON)
