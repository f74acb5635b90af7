"""Blocks as files: found by what they hold, whole or not there, this user's alone."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obeaver.engine.decoding.prefix_cache import common_prefix
from obeaver.engine.prefix_disk.block_files import BLOCK_TOKENS, BlockFiles, block_keys
from obeaver.engine.runners.runner import KvBlock, KvLayout

LAYOUT = KvLayout(num_layers=3, num_kv_heads=2, head_dim=8, dtype="int8")
ORIGIN = b"o" * 32
KEY, OTHER_KEY = block_keys(ORIGIN, range(2 * BLOCK_TOKENS))


def a_block(seed: int = 0) -> KvBlock:
    shape = LAYOUT.block_shape(BLOCK_TOKENS)
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


def path_of(files: BlockFiles, key: str = KEY) -> Path:
    return files.folder / f"{key}.kv"


@pytest.fixture
def files(tmp_path: Path) -> BlockFiles:
    return BlockFiles(tmp_path / "made" / "when needed", LAYOUT)


few_ids = st.lists(st.integers(0, 2), max_size=5)


@given(stem=few_ids, left=few_ids, right=few_ids, pad=st.integers(0, BLOCK_TOKENS))
def test_two_prompts_share_the_keys_of_the_blocks_that_they_share(
    stem: list[int], left: list[int], right: list[int], pad: int
) -> None:
    one, other = (tuple(stem * pad + tail * pad) for tail in (left, right))
    shared = common_prefix(one, other) // BLOCK_TOKENS
    keys, other_keys = list(block_keys(ORIGIN, one)), list(block_keys(ORIGIN, other))
    assert len(keys) == len(one) // BLOCK_TOKENS
    assert keys[:shared] == other_keys[:shared]
    assert not set(keys[shared:]) & set(other_keys[shared:])


def test_what_is_computed_by_other_means_has_other_keys() -> None:
    ids = range(300)
    assert not set(block_keys(ORIGIN, ids)) & set(block_keys(b"p" * 32, ids))


def test_a_block_comes_back_as_it_was(files: BlockFiles) -> None:
    block = a_block()
    files.write(KEY, block[:, :, :, ::-1])  # a view, in another order than memory's
    found = files.read(KEY)
    assert found is not None
    assert np.array_equal(found, block[:, :, :, ::-1])
    assert path_of(files).stat().st_size == files.file_bytes
    assert list(files.folder.iterdir()) == [path_of(files)]


def test_what_was_never_written_is_not_there(files: BlockFiles) -> None:
    assert files.read(KEY) is None


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_look(files: BlockFiles, umask: int) -> None:
    before = os.umask(umask)
    try:
        files.write(KEY, a_block())
    finally:
        os.umask(before)
    assert stat.S_IMODE(files.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path_of(files).stat().st_mode) == 0o600
    assert files.is_private()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o701, 0o710, 0o770, 0o777])
def test_a_folder_that_others_may_enter_is_not_private(files: BlockFiles, mode: int) -> None:
    files.folder.mkdir(parents=True)
    files.folder.chmod(mode)
    assert not files.is_private()


def test_a_link_to_a_folder_is_not_private(files: BlockFiles, tmp_path: Path) -> None:
    files.folder.parent.mkdir(parents=True)
    files.folder.symlink_to(tmp_path, target_is_directory=True)
    assert not files.is_private()


def _cut(path: Path, size: int) -> None:
    with path.open("rb+") as file:
        file.truncate(size)


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def _replace_by_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: _cut(path, 0),
    "cut in its head": lambda path: _cut(path, 20),
    "cut in its last byte": lambda path: _cut(path, path.stat().st_size - 1),
    "zeros, as after a power failure": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "another version": lambda path: _flip(path, 0),
    "another digest": lambda path: _flip(path, 20),
    "another first byte": lambda path: _flip(path, 48),
    "another last byte": lambda path: _flip(path, -1),
    "another block's": lambda path: path.with_name(f"{OTHER_KEY}.kv").replace(path),
    "a link": _replace_by_link,
    "a pipe": _replace_by_pipe,
}


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_torn_or_foreign_is_not_read_and_removed(files: BlockFiles, damage: str) -> None:
    files.write(KEY, a_block())
    files.write(OTHER_KEY, a_block(1))
    DAMAGES[damage](path_of(files))
    assert files.read(KEY) is None
    assert not os.path.lexists(path_of(files))
    files.write(KEY, a_block())
    assert files.read(KEY) is not None


def test_the_end_of_a_prompt_is_older_than_its_beginning(files: BlockFiles) -> None:
    for key in (KEY, OTHER_KEY):
        files.write(key, a_block())
    files.touch([KEY, "00" * 32, OTHER_KEY], 10**18)
    assert path_of(files).stat().st_mtime_ns > path_of(files, OTHER_KEY).stat().st_mtime_ns
