"""NVIDIA's GPUs, Windows and macOS: what their tools, registry and libraries say."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from obeaver.monitor.device import MIB, DeviceMemory
from obeaver.monitor.macos import MacGpu
from obeaver.monitor.nvidia import nvidia_gpu, nvml_gpu, smi_gpu
from obeaver.monitor.windows import COMPUTE_ACCELERATOR, DISPLAY, registered, windows_gpu, windows_npu


class NoDriver(Exception):
    """As NVML's own."""


class FakeNvml:
    """An NVML with one GPU, or one that fails at some call."""

    NVMLError: type[Exception] = NoDriver

    def __init__(self, name: str | bytes = "NVIDIA L4", fails_at: str = "") -> None:
        self._name = name
        self._fails_at = fails_at

    def nvmlInit(self) -> None:  # noqa: N802
        self._pass("nvmlInit")

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        self._pass("nvmlDeviceGetHandleByIndex")
        return index

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:  # noqa: N802
        return self._name

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        self._pass("nvmlDeviceGetMemoryInfo")
        return SimpleNamespace(total=24 * MIB, used=3 * MIB)

    def _pass(self, call: str) -> None:
        if call == self._fails_at:
            raise NoDriver


@pytest.mark.parametrize("name", ["NVIDIA L4", b"NVIDIA L4"])
def test_nvml_tells_of_the_first_gpu(name: str | bytes) -> None:
    assert nvml_gpu(FakeNvml(name)) == DeviceMemory("NVIDIA L4", 24 * MIB, 3 * MIB)


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetMemoryInfo"])
def test_an_nvml_that_refuses_means_no_gpu(call: str) -> None:
    assert nvml_gpu(FakeNvml(fails_at=call)) is None


def test_the_package_has_what_is_used_of_it() -> None:
    pynvml = pytest.importorskip("pynvml", reason="the extra nvidia is not installed")
    for name in vars(FakeNvml):
        assert name.startswith("_") or hasattr(pynvml, name)
    assert nvml_gpu(pynvml) is None or nvidia_gpu() is not None


def test_the_first_nvidia_gpu_is_read_from_its_tools_output() -> None:
    def tool(arguments: Sequence[str]) -> str:
        assert "--format=csv,noheader,nounits" in arguments
        return "NVIDIA L4, 23034, 512\nNVIDIA L4, 23034, 0\n"

    assert smi_gpu(tool) == DeviceMemory("NVIDIA L4", 23034 * MIB, 512 * MIB)


@pytest.mark.parametrize("output", [None, "", "No devices were found\n", "NVIDIA L4, [N/A], 512\n"])
def test_an_nvidia_tool_that_tells_no_figures_means_no_gpu(output: str | None) -> None:
    assert smi_gpu(lambda _arguments: output) is None


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for the driver's tool is a shell script")
@pytest.mark.parametrize(("script", "total"), [("echo 'NVIDIA T4, 16, 1'", 16 * MIB), ("exit 9", None)])
def test_the_nvidia_tool_is_found_on_the_path(
    script: str, total: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = smi_gpu()
    assert (found and found.total) == total


def test_without_the_nvidia_tool_there_is_no_gpu_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert smi_gpu() is None


ADAPTERS: list[Mapping[str, Any]] = [
    {"DriverDesc": "Microsoft Basic Display Adapter"},
    {"DriverDesc": "Intel(R) UHD Graphics", "HardwareInformation.qwMemorySize": (128 * MIB).to_bytes(8, "little")},
    {"DriverDesc": "NVIDIA GeForce RTX 4070", "HardwareInformation.qwMemorySize": 12 * 1024 * MIB},
    {},
]


def test_windows_tells_of_the_adapter_with_the_most_memory_and_not_of_what_is_in_use() -> None:
    assert windows_gpu(lambda _: ADAPTERS) == DeviceMemory("NVIDIA GeForce RTX 4070", 12 * 1024 * MIB, None)
    assert windows_gpu(lambda _: ADAPTERS[:2]) == DeviceMemory("Intel(R) UHD Graphics", 128 * MIB, None)
    assert windows_gpu(lambda _: ADAPTERS[:1]) is None
    assert windows_gpu(lambda _: []) is None


def test_windows_knows_npus_by_their_class() -> None:
    classes: dict[str, list[Mapping[str, Any]]] = {
        COMPUTE_ACCELERATOR: [{}, {"DriverDesc": "Intel(R) AI Boost"}],
        DISPLAY: ADAPTERS,
    }
    assert windows_npu(classes.__getitem__) == DeviceMemory("Intel(R) AI Boost", None, None)
    assert windows_npu(lambda _: []) is None


@pytest.mark.skipif(os.name == "nt", reason="this is Windows")
def test_where_there_is_no_windows_there_is_no_registry() -> None:
    assert registered(DISPLAY) == []


@pytest.mark.parametrize(
    ("display", "gpu"),
    [
        ({"sppci_model": "Apple M3 Pro"}, DeviceMemory("Apple M3 Pro", None, None)),
        (
            {"sppci_model": "AMD Radeon Pro 5500M", "spdisplays_vram": "8 GB"},
            DeviceMemory("AMD Radeon Pro 5500M", 8192 * MIB, None),
        ),
        ({"sppci_model": "Intel Iris", "spdisplays_vram": "1536 MB"}, DeviceMemory("Intel Iris", 1536 * MIB, None)),
        ({"spdisplays_ndrvs": []}, None),
    ],
)
def test_a_macs_gpu_is_asked_for_once(display: dict[str, Any], gpu: DeviceMemory | None) -> None:
    asked: list[None] = []

    def run() -> str:
        asked.append(None)
        return json.dumps({"SPDisplaysDataType": [display]})

    read = MacGpu(run)
    assert [read(), read()] == [gpu, gpu]
    assert len(asked) == 1


@pytest.mark.parametrize("output", [None, "", "{", "{}"])
def test_a_mac_that_tells_nothing_has_no_gpu(output: str | None) -> None:
    assert MacGpu(lambda: output)() is None
