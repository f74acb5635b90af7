"""Memory figures: of the real machine, and of devices that are simulated."""

import os
import platform

import psutil
import pytest

from obeaver.monitor.device import MIB, DeviceMemory
from obeaver.monitor.monitor import Monitor
from obeaver.monitor.sources import SOURCES, find_device

ABSENT = {
    "total_mb": 0.0,
    "used_mb": 0.0,
    "available_mb": 0.0,
    "utilisation": 0.0,
    "tells_memory": False,
    "status": "unavailable",
}


def nothing() -> None:
    return None


def a_gpu() -> DeviceMemory:
    return DeviceMemory("Some GPU", 8 * MIB, 6 * MIB)


def silent() -> DeviceMemory:
    return DeviceMemory("Silent GPU", 4 * MIB, None)


def test_the_figures_of_the_processor_are_the_systems() -> None:
    cpu = Monitor(nothing, nothing).read().as_object()["cpu"]
    assert cpu["total_mb"] == round(psutil.virtual_memory().total / MIB, 1)
    assert cpu["used_mb"] + cpu["available_mb"] == pytest.approx(cpu["total_mb"], abs=0.2)
    assert cpu["utilisation"] == pytest.approx(cpu["used_mb"] / cpu["total_mb"], abs=1e-3)
    assert cpu["label"]
    assert cpu["tells_memory"]


def test_the_figures_of_the_process_are_its_own() -> None:
    monitor = Monitor(nothing, nothing)
    process = monitor.read().process
    assert process["pid"] == os.getpid()
    assert 0 < process["rss_mb"] <= process["vms_mb"]
    assert process["cpu_percent"] >= 0
    assert monitor.process_rss_bytes() > MIB


def test_a_device_that_is_not_there_is_unavailable_with_zeros() -> None:
    told = Monitor(nothing, nothing).read().as_object(active={"gpu"})
    assert told["gpu"] == {"device": "gpu", "label": "no GPU", **ABSENT}
    assert told["npu"] == {"device": "npu", "label": "no NPU", **ABSENT}
    assert told["platform"] == platform.platform()


def test_a_device_is_active_only_while_it_computes() -> None:
    told = Monitor(a_gpu, nothing).read().as_object(active={"gpu", "npu"})
    assert {name: told[name]["status"] for name in ("cpu", "gpu", "npu")} == {
        "cpu": "idle",
        "gpu": "active",
        "npu": "unavailable",
    }


def test_a_gpu_that_tells_of_its_memory_is_shown() -> None:
    assert Monitor(a_gpu, nothing).read().as_object()["gpu"] == {
        "device": "gpu",
        "label": "Some GPU",
        "total_mb": 8.0,
        "used_mb": 6.0,
        "available_mb": 2.0,
        "utilisation": 0.75,
        "tells_memory": True,
        "status": "idle",
    }


def test_of_a_device_that_does_not_tell_nothing_is_made_up() -> None:
    told = Monitor(silent, lambda: DeviceMemory("Some NPU", None, 3 * MIB)).read().as_object()
    assert told["gpu"] == {**told["gpu"], **ABSENT, "total_mb": 4.0, "status": "idle"}
    assert told["npu"] == {**told["npu"], **ABSENT, "used_mb": 3.0, "status": "idle"}


def test_the_first_device_that_tells_of_its_memory_is_found() -> None:
    assert find_device([nothing, silent, a_gpu]) == a_gpu()
    assert find_device([nothing, silent]) == silent()
    assert find_device([nothing]) is None


def test_every_source_answers_on_this_machine() -> None:
    for read in (*SOURCES["gpu"], *SOURCES["npu"]):
        device = read()
        assert device is None or device.label
