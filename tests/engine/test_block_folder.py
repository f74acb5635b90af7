"""The bound of a folder of blocks, which others may use as well."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from obeaver.engine.prefix_disk.block_files import BLOCK_TOKENS, block_keys
from obeaver.engine.prefix_disk.block_folder import BlockFolder
from obeaver.engine.runners.runner import KvLayout

LAYOUT = KvLayout(num_layers=1, num_kv_heads=1, head_dim=4, dtype="int8")
BLOCK = np.zeros(LAYOUT.block_shape(BLOCK_TOKENS), np.int8)
FILE_BYTES = 48 + BLOCK.nbytes
KEYS = list(block_keys(b"k" * 32, range(100 * BLOCK_TOKENS)))
ONE, OTHER = b"1" * 32, b"2" * 32


def folder_of(root: Path, num_files: float, origin: bytes = ONE) -> BlockFolder:
    folder = BlockFolder(root, origin, LAYOUT, int(num_files * FILE_BYTES))
    folder.look()
    return folder


def fill(folder: BlockFolder, keys: list[str]) -> None:
    """One prompt's blocks, and their age."""
    for key in keys:
        assert folder.write(key, BLOCK)
    folder.files.touch(keys, time.time_ns())


def found(root: Path) -> set[str]:
    return {path.stem for path in root.rglob("*.kv")}


def test_there_are_never_more_bytes_than_may_be(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 30.5)
    for start in range(0, 100, 5):
        fill(folder, KEYS[start : start + 5])
        assert len(found(tmp_path)) <= 30
        assert folder.used_bytes == len(found(tmp_path)) * FILE_BYTES
    assert {key for key in KEYS if folder.knows(key)} == found(tmp_path)


def test_what_was_not_used_for_the_longest_time_goes_first_and_ends_before_beginnings(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 8)
    first, second, third = KEYS[:4], KEYS[4:8], KEYS[8:10]
    fill(folder, first)
    fill(folder, second)
    folder.files.touch(first, time.time_ns())
    fill(folder, third)
    assert found(tmp_path) == {*first, *second[:2], *third}


def test_a_block_that_is_larger_than_all_may_be_is_not_stored(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 0.9)
    assert not folder.write(KEYS[0], BLOCK)
    assert found(tmp_path) == set()


def test_what_is_there_at_the_start_is_known_and_counted(tmp_path: Path) -> None:
    fill(folder_of(tmp_path, 10), KEYS[:3])
    again = folder_of(tmp_path, 10)
    assert [again.knows(key) for key in KEYS[:4]] == [True, True, True, False]
    assert again.used_bytes == 3 * FILE_BYTES


def test_another_models_blocks_count_and_are_not_known(tmp_path: Path) -> None:
    fill(folder_of(tmp_path, 10, OTHER), KEYS[:6])
    folder = folder_of(tmp_path, 10)
    assert not any(map(folder.knows, KEYS))
    assert folder.read(KEYS[0]) is None
    fill(folder, KEYS[10:20])
    assert found(tmp_path) == set(KEYS[10:20])
    assert [path.name for path in tmp_path.iterdir()] == [folder.files.folder.name], "empty folders go too"


def test_two_servers_share_the_bound(tmp_path: Path) -> None:
    one, other = folder_of(tmp_path, 40), folder_of(tmp_path, 40)
    for start in range(0, 50, 5):
        fill(one, KEYS[start : start + 5])
        fill(other, KEYS[50 + start : 55 + start])
        # Each looks after a twentieth of the bound that it wrote itself.
        assert len(found(tmp_path)) <= 40 + 2 * 3
    one.look()
    assert {key for key in KEYS if one.knows(key)} == found(tmp_path)


def test_a_block_that_another_has_removed_is_forgotten(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 10)
    fill(folder, KEYS[:2])
    (folder.files.folder / f"{KEYS[1]}.kv").unlink()
    assert folder.knows(KEYS[1])
    assert folder.read(KEYS[1]) is None
    assert not folder.knows(KEYS[1])


def test_what_was_left_half_written_is_removed_and_what_is_being_written_stays(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 10)
    fill(folder, KEYS[:1])
    left, fresh = (folder.files.folder / f"{key}.123-0badf00d.partial" for key in KEYS[1:3])
    for path in (left, fresh):
        path.write_bytes(b"half")
    os.utime(left, (1e9, 1e9))
    folder.look()
    assert not left.exists()
    assert fresh.exists()
    assert folder.used_bytes == FILE_BYTES + 4


def test_files_that_no_server_has_made_are_left_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 3)
    fill(folder, KEYS[:3])
    others = [
        tmp_path / "letter.kv",
        tmp_path / "photos" / f"{KEYS[0]}.kv",
        folder.files.folder / "notes.kv",
        folder.files.folder / "notes.partial",
    ]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine" * 10_000)
        os.utime(path, (1e9, 1e9))
    fill(folder, KEYS[3:9])
    assert all(path.exists() for path in others)
    assert folder.used_bytes <= 3 * FILE_BYTES


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_folder_that_is_open_to_others_is_neither_read_nor_written(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 10)
    fill(folder, KEYS[:2])
    folder.files.folder.chmod(0o755)
    assert folder.read(KEYS[0]) is None
    with pytest.raises(PermissionError, match="open to other users"):
        folder.write(KEYS[2], BLOCK)
