"""Limits of containers, from files as Linux writes them."""

from pathlib import Path

import pytest

from obeaver.cgroup import memory_limit_bytes, processor_limit


def write(root: Path, **files: str) -> Path:
    """Files by their path, with `__` for a slash and `_DOT_` for a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_files_there_is_no_limit(tmp_path: Path) -> None:
    assert processor_limit(tmp_path / "none", tmp_path / "none") is None
    assert memory_limit_bytes(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.parametrize(("text", "limit"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("odd\n", None)])
def test_version_2_says_quota_and_period(tmp_path: Path, text: str, limit: float | None) -> None:
    assert processor_limit(write(tmp_path, cpu_DOT_max=text), tmp_path / "none") == limit


@pytest.mark.parametrize(("quota", "limit"), [("-1\n", None), ("400000\n", 4.0)])
def test_version_1_says_them_in_two_files(tmp_path: Path, quota: str, limit: float | None) -> None:
    root = write(tmp_path, cpu__cpu_DOT_cfs_quota_us=quota, cpu__cpu_DOT_cfs_period_us="100000\n")
    assert processor_limit(root, tmp_path / "none") == limit


@pytest.mark.parametrize(("text", "limit"), [("max\n", None), ("2147483648\n", 2**31)])
def test_memory_of_version_2(tmp_path: Path, text: str, limit: int | None) -> None:
    assert memory_limit_bytes(write(tmp_path, memory_DOT_max=text), tmp_path / "none") == limit


@pytest.mark.parametrize(("text", "limit"), [("9223372036854771712\n", None), ("1073741824\n", 2**30)])
def test_memory_of_version_1(tmp_path: Path, text: str, limit: int | None) -> None:
    assert memory_limit_bytes(write(tmp_path, memory__memory_DOT_limit_in_bytes=text), tmp_path / "none") == limit


def test_the_smallest_limit_from_the_own_group_upwards_counts(tmp_path: Path) -> None:
    root = write(
        tmp_path / "fs",
        a__cpu_DOT_max="300000 100000",
        a__b__cpu_DOT_max="200000 100000",
        a__b__c__cpu_DOT_max="max 100000",
        other__cpu_DOT_max="100000 100000",
    )
    membership = write(tmp_path, membership="0::/a/b/c\n") / "membership"
    assert processor_limit(root, membership) == 2.0


def test_a_group_of_version_1_is_found_below_its_controller(tmp_path: Path) -> None:
    root = write(tmp_path / "fs", memory__docker__x__memory_DOT_limit_in_bytes="1000000")
    membership = write(tmp_path, membership="5:cpu,cpuacct:/docker/y\n4:memory:/docker/x\n") / "membership"
    assert memory_limit_bytes(root, membership) == 1_000_000
    assert processor_limit(root, membership) is None
