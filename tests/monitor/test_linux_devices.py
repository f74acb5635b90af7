"""Devices as Linux's files tell of them: a tree of files in place of /sys."""

import platform
from pathlib import Path

import pytest

from obeaver.monitor.accel import linux_npu
from obeaver.monitor.amd import amd_gpu
from obeaver.monitor.device import MIB, DeviceMemory
from obeaver.monitor.intel import intel_gpu
from obeaver.monitor.processor import cpu_name


class Sys:
    """A tree that looks like /sys."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.drm, self.accel = root / "class" / "drm", root / "class" / "accel"

    def device(self, entry: Path, driver: str, **files: str) -> None:
        """A device of a class, bound to a driver."""
        place = self.root / "devices" / entry.name
        bound = self.root / "bus" / "drivers" / driver
        place.mkdir(parents=True)
        bound.mkdir(parents=True, exist_ok=True)
        entry.mkdir(parents=True)
        (entry / "device").symlink_to(place)
        (place / "driver").symlink_to(bound)
        for name, content in files.items():
            file = place / name.replace("__", "/")
            file.parent.mkdir(exist_ok=True)
            file.write_text(content, encoding="utf-8")


@pytest.fixture
def sys(tmp_path: Path) -> Sys:
    return Sys(tmp_path)


def test_an_amd_gpu_tells_of_its_memory_and_of_its_name_where_it_has_one(sys: Sys) -> None:
    sys.device(sys.drm / "card1", "amdgpu", mem_info_vram_total=f"{4 * MIB}\n", mem_info_vram_used=f"{MIB}\n")
    assert amd_gpu(sys.drm) == DeviceMemory("AMD GPU", 4 * MIB, MIB)
    named = {"product_name": "AMD Instinct MI210\n", "mem_info_vram_total": "16", "mem_info_vram_used": "0"}
    sys.device(sys.drm / "card0", "amdgpu", **named)
    assert amd_gpu(sys.drm) == DeviceMemory("AMD Instinct MI210", 16, 0)


def test_amd_cards_whose_files_cannot_be_read_are_passed_over(sys: Sys) -> None:
    sys.device(sys.drm / "card0", "amdgpu", mem_info_vram_total="many", mem_info_vram_used="few")
    sys.device(sys.drm / "card1", "amdgpu", mem_info_vram_total="16")
    sys.device(sys.drm / "card2-HDMI-A-1", "amdgpu", mem_info_vram_total="16", mem_info_vram_used="1")
    assert amd_gpu(sys.drm) is None


def test_an_intel_card_under_xe_has_the_memory_of_its_tiles(sys: Sys) -> None:
    sys.device(sys.drm / "card0", "xe", vendor="0x8086\n")
    tiles = {"tile0__physical_vram_size_bytes": str(8 * MIB), "tile1__physical_vram_size_bytes": str(8 * MIB)}
    sys.device(sys.drm / "card1", "xe", vendor="0x8086\n", **tiles)
    assert intel_gpu(sys.drm) == DeviceMemory("Intel GPU", 16 * MIB, None)


def test_an_intel_card_under_intels_own_i915_has_the_memory_that_it_tells(sys: Sys) -> None:
    sys.device(sys.drm / "card0", "i915", vendor="0x8086\n")
    (sys.drm / "card0" / "lmem_total_bytes").write_text(f"{6 * MIB}\n", encoding="ascii")
    assert intel_gpu(sys.drm) == DeviceMemory("Intel GPU", 6 * MIB, None)


def test_a_gpu_in_the_processor_is_there_without_memory_of_its_own(sys: Sys) -> None:
    sys.device(sys.drm / "card0", "i915", vendor="0x8086\n")
    assert intel_gpu(sys.drm) == DeviceMemory("Intel GPU", None, None)


def test_another_vendors_card_and_another_driver_are_no_intel_gpu(sys: Sys) -> None:
    sys.device(sys.drm / "card0", "xe", vendor="0x1002\n")
    sys.device(sys.drm / "card1", "vfio-pci", vendor="0x8086\n")
    assert intel_gpu(sys.drm) is None


@pytest.mark.parametrize(
    ("driver", "label"), [("intel_vpu", "Intel NPU"), ("amdxdna", "AMD NPU"), ("newcomer", "newcomer")]
)
def test_an_npu_is_known_by_its_driver(sys: Sys, driver: str, label: str) -> None:
    sys.device(sys.accel / "accel0", driver)
    assert linux_npu(sys.accel) == DeviceMemory(label, None, None)


def test_an_intel_npu_tells_what_it_uses_of_the_main_memory(sys: Sys) -> None:
    sys.device(sys.accel / "accel0", "intel_vpu", npu_memory_utilization=f"{3 * MIB}\n")
    assert linux_npu(sys.accel) == DeviceMemory("Intel NPU", None, 3 * MIB)


def test_where_there_are_no_such_classes_there_are_no_devices(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    assert [amd_gpu(nowhere), intel_gpu(nowhere), linux_npu(nowhere)] == [None, None, None]


def test_the_processors_name_comes_from_linux_from_macos_or_from_the_platform(tmp_path: Path) -> None:
    cpuinfo, missing = tmp_path / "cpuinfo", tmp_path / "missing"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n", encoding="utf-8")
    assert cpu_name(cpuinfo) == "Some CPU @ 3 GHz"
    assert cpu_name(missing, lambda: "Apple M9") == "Apple M9"
    assert cpu_name(missing, lambda: "") == (platform.processor() or platform.machine() or "CPU")
