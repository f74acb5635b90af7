"""Memory that is read as a whole again and again, in huge pages."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from obeaver import huge_pages

MB = 1 << 20
SIZE = 16 * MB

SCRIPT = f"""
import json, mmap, re
from pathlib import Path
from obeaver import huge_pages

def resident(what):
    return int(re.search(rf"^{{what}}: +(\\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)[1]) << 10

full, half = (mmap.mmap(-1, {SIZE}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for _ in range(2))
text = bytes(range(256)) * ({SIZE} // 256)
huge_before = resident("AnonHugePages")
full[:] = text
for start in range(0, {SIZE}, 2 * mmap.PAGESIZE):
    half[start] = 1
before = resident("Rss")
huge_pages.put_together()
print(json.dumps([full[:] == text, resident("AnonHugePages") - huge_before, resident("Rss") - before]))
"""

MAPS = "7f0000000000-7f0000a00000 rw-p 00000000 00:00 0 \n"


def regions(*changes: tuple[str, str]) -> list[range]:
    text = MAPS
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return list(huge_pages.large_regions(text))


class TestLargeRegions:
    def test_one_that_the_process_has_to_itself(self) -> None:
        assert regions() == [range(0x7F0000000000, 0x7F0000A00000)]

    def test_edges_are_those_of_huge_pages(self) -> None:
        (found,) = regions(("7f0000000000-", "7f0000001000-"), ("-7f0000a00000", "-7f0000bff000"))
        assert found == range(0x7F0000200000, 0x7F0000A00000)

    def test_the_heap_is_one(self) -> None:
        assert regions(("00:00 0 ", "00:00 0                          [heap]"))

    @pytest.mark.parametrize(
        ("what", "by"),
        [
            ("rw-p", "r--p"),
            ("rw-p", "rw-s"),
            ("rw-p 00000000 00:00 0", "rw-p 00000000 fe:00 17         /a/file"),
            ("00:00 0 ", "00:00 0                          [stack]"),
            ("7f0000a00000", "7f0000300000"),
        ],
        ids=["read only", "shared", "a file's", "a stack", "small"],
    )
    def test_others_are_left_out(self, what: str, by: str) -> None:
        assert not regions((what, by))

    def test_all_are_found_of_several(self) -> None:
        between = "7f0000a00000-7f0000b00000 ---p 00000000 00:00 0 \n"
        assert len(list(huge_pages.large_regions(MAPS + between + MAPS))) == 2


def can_put_together() -> bool:
    release = tuple(map(int, platform.release().split(".")[:2])) if sys.platform == "linux" else (0, 0)
    return release >= (6, 1) and huge_pages.is_wanted()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux puts memory together")
class TestPutTogether:
    @pytest.mark.skipif(not can_put_together(), reason="Linux does since 6.1, where its operator has not said never")
    def test_contents_stay_and_nothing_grows(self) -> None:
        # In a process of its own: what is counted is that of the whole process.
        done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
        is_same, huge, grown = json.loads(done.stdout)
        assert is_same
        assert huge >= SIZE - 4 * MB
        assert grown < MB

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
