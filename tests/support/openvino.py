"""The second provider that tests run: OpenVINO's plugin, which computes on any x86-64 processor."""

from importlib.util import find_spec

import pytest

needs_openvino = pytest.mark.skipif(
    find_spec("onnxruntime_ep_openvino") is None, reason="onnxruntime-ep-openvino is not installed (x86-64 alone)"
)
