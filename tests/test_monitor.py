"""Memory figures: of the real machine, and of devices that are simulated by what their drivers print."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from obeaver.monitor import MIB, DeviceMemory, Monitor, amd_gpu, cpu_name, find_gpu, nvidia_gpu

ABSENT = {"total_mb": 0.0, "used_mb": 0.0, "available_mb": 0.0, "utilisation": 0.0, "status": "unavailable"}


def no_gpu() -> None:
    return None


def a_gpu() -> DeviceMemory:
    return DeviceMemory("Some GPU", 8 * MIB, 6 * MIB, 2 * MIB)


def test_the_figures_of_the_processor_are_the_systems() -> None:
    cpu = Monitor(no_gpu).snapshot()["cpu"]
    assert cpu["total_mb"] == round(psutil.virtual_memory().total / MIB, 1)
    assert cpu["used_mb"] + cpu["available_mb"] == pytest.approx(cpu["total_mb"], abs=0.2)
    assert cpu["utilisation"] == pytest.approx(cpu["used_mb"] / cpu["total_mb"], abs=1e-3)
    assert cpu["label"]


def test_the_figures_of_the_process_are_its_own() -> None:
    monitor = Monitor(no_gpu)
    process = monitor.snapshot()["process"]
    assert process["pid"] == os.getpid()
    assert 0 < process["rss_mb"] <= process["vms_mb"]
    assert process["cpu_percent"] >= 0
    assert monitor.process_rss_bytes() > MIB


def test_a_device_that_is_not_there_is_unavailable_with_zeros() -> None:
    snapshot = Monitor(no_gpu).snapshot()
    assert snapshot["gpu"] == {"device": "gpu", "label": "no GPU", **ABSENT}
    assert snapshot["npu"] == {"device": "npu", "label": "no NPU", **ABSENT}
    assert snapshot["platform"] == platform.platform()


def test_a_device_is_active_only_while_it_computes() -> None:
    snapshot = Monitor(a_gpu).snapshot(active={"gpu", "npu"})
    assert {name: snapshot[name]["status"] for name in ("cpu", "gpu", "npu")} == {
        "cpu": "idle",
        "gpu": "active",
        "npu": "unavailable",
    }


def test_a_gpu_that_tells_of_its_memory_is_shown() -> None:
    assert Monitor(a_gpu).snapshot()["gpu"] == {
        "device": "gpu",
        "label": "Some GPU",
        "total_mb": 8.0,
        "used_mb": 6.0,
        "available_mb": 2.0,
        "utilisation": 0.75,
        "status": "idle",
    }


def test_the_first_nvidia_gpu_is_read_from_its_tools_output() -> None:
    def tool(arguments: Sequence[str]) -> str:
        assert "--format=csv,noheader,nounits" in arguments
        return "NVIDIA L4, 23034, 512\nNVIDIA L4, 23034, 0\n"

    assert nvidia_gpu(tool) == DeviceMemory("NVIDIA L4", 23034 * MIB, 512 * MIB, 22522 * MIB)


@pytest.mark.parametrize("output", [None, "", "No devices were found\n", "NVIDIA L4, [N/A], 512\n"])
def test_an_nvidia_tool_that_tells_no_figures_means_no_gpu(output: str | None) -> None:
    assert nvidia_gpu(lambda _arguments: output) is None


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for the driver's tool is a shell script")
@pytest.mark.parametrize(("script", "total"), [("echo 'NVIDIA T4, 16, 1'", 16 * MIB), ("exit 9", None)])
def test_the_nvidia_tool_is_found_on_the_path(
    script: str, total: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = nvidia_gpu()
    assert (found and found.total) == total


def test_without_the_nvidia_tool_there_is_no_nvidia_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_gpu() is None
    assert find_gpu() == amd_gpu()


def write_card(drm: Path, name: str, total: str, used: str | None) -> None:
    device = drm / name / "device"
    device.mkdir(parents=True)
    (device / "mem_info_vram_total").write_text(total, encoding="ascii")
    if used is not None:
        (device / "mem_info_vram_used").write_text(used, encoding="ascii")


def test_an_amd_gpu_is_read_from_its_drivers_files(tmp_path: Path) -> None:
    write_card(tmp_path, "card1", f"{4 * MIB}\n", f"{MIB}\n")
    assert amd_gpu(tmp_path) == DeviceMemory("AMD GPU", 4 * MIB, MIB, 3 * MIB)


def test_amd_cards_whose_files_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    write_card(tmp_path, "card0", "many", "few")
    write_card(tmp_path, "card1", "16", None)
    assert amd_gpu(tmp_path) is None


def test_the_processors_name_comes_from_linux_or_from_the_platform(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n", encoding="utf-8")
    assert cpu_name(cpuinfo) == "Some CPU @ 3 GHz"
    assert cpu_name(tmp_path / "missing") == (platform.processor() or platform.machine() or "CPU")
