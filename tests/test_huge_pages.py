"""Memory that is read as a whole again and again, in huge pages."""

import mmap
import re
import sys
from pathlib import Path

import pytest

from obeaver import huge_pages

MB = 1 << 20
SIZE = 16 * MB

SMAPS = """\
7f0000000000-7f0000a00000 rw-p 00000000 00:00 0
Size:              10240 kB
KernelPageSize:        4 kB
Rss:               {rss} kB
Pss:               10240 kB
VmFlags: rd wr mr mw me ac
"""


def regions(*changes: tuple[str, str], rss: int = 10240) -> list[range]:
    text = SMAPS.format(rss=rss)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return list(huge_pages.dense_regions(text))


class TestDenseRegions:
    def test_one_that_is_in_memory(self) -> None:
        assert regions() == [range(0x7F0000000000, 0x7F0000A00000)]

    def test_edges_are_those_of_huge_pages(self) -> None:
        (found,) = regions(("7f0000000000-", "7f0000001000-"), ("-7f0000a00000", "-7f0000bff000"), rss=12200)
        assert found == range(0x7F0000200000, 0x7F0000A00000)

    def test_the_heap_is_one(self) -> None:
        assert regions(("00:00 0\n", "00:00 0                          [heap]\n"))

    @pytest.mark.parametrize(
        ("what", "by"),
        [
            ("rw-p", "r--p"),
            ("rw-p", "rw-s"),
            ("rw-p 00000000 00:00 0", "rw-p 00000000 fe:00 17         /a/file"),
            ("00:00 0\n", "00:00 0                          [stack]\n"),
            ("7f0000a00000", "7f0000300000"),
        ],
        ids=["read only", "shared", "a file's", "a stack", "small"],
    )
    def test_others_are_left_out(self, what: str, by: str) -> None:
        assert not regions((what, by))

    def test_one_that_is_hardly_in_memory_is_left_out(self) -> None:
        assert not regions(rss=9000)

    def test_all_are_found_of_several(self) -> None:
        text = SMAPS.format(rss=10240) + SMAPS.format(rss=0) + SMAPS.format(rss=10240)
        assert len(list(huge_pages.dense_regions(text))) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="Linux puts memory together")
class TestPutTogether:
    def test_contents_stay_and_what_is_not_in_use_stays_away(self) -> None:
        full, empty = (mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for _ in range(2))
        for memory in (full, empty):
            memory.madvise(mmap.MADV_NOHUGEPAGE)
            memory.madvise(mmap.MADV_HUGEPAGE)
        text = bytes(range(256)) * (SIZE // 256)
        full[:] = text
        empty[0] = 1
        before = resident()
        huge_pages.put_together()
        assert full[:] == text
        assert resident() - before < SIZE // 2

    def test_the_system_is_asked_unless_its_operator_says_never(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        setting = tmp_path / "enabled"
        monkeypatch.setattr(huge_pages, "_SETTING", setting)
        assert not huge_pages.is_wanted()
        setting.write_text("always madvise [never]\n")
        assert not huge_pages.is_wanted()
        setting.write_text("always [madvise] never\n")
        assert huge_pages.is_wanted()


def resident() -> int:
    found = re.search(r"^Rss: +(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10
