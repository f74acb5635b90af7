"""The archive beside an event loop: it is made late, fails without harm, and works again when the disk does."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.stored import response

from obeaver.archive.archive import Archive
from obeaver.archive.stored_responses import Limits
from obeaver.errors import ArchiveUnavailable


@pytest.fixture
async def archive(path: Path) -> AsyncIterator[Archive]:
    archive = Archive(path, Limits(1_000_000, 0))
    yield archive
    await archive.close()


def damage(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is no database" * 1000)


def repair(path: Path) -> None:
    path.unlink()


async def test_looking_makes_no_file(archive: Archive, path: Path) -> None:
    assert await archive.get("resp_1", "") is None
    assert await archive.find_items(["msg_1"], "") == {}
    assert not await archive.delete("resp_1", "")
    assert not path.parent.exists()


async def test_a_response_comes_and_goes(archive: Archive) -> None:
    assert await archive.put(response(1))
    assert await archive.get("resp_1", "") is not None
    assert await archive.delete("resp_1", "")
    assert await archive.get("resp_1", "") is None


async def test_one_that_is_too_large_is_said_to_be(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    assert not await archive.put(response(1, text="x" * 2_000_000))
    assert "larger than --stored-responses-mb allows" in caplog.text
    assert await archive.put(response(2))


async def test_a_place_that_cannot_be_written_is_said_to_be_and_tried_again(
    archive: Archive, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.parent.mkdir(exist_ok=True)
    path.parent.write_bytes(b"a file where the folder should be")
    assert not await archive.put(response(1))
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    path.parent.unlink()
    assert await archive.put(response(1))


async def test_a_damaged_file_harms_nobody(archive: Archive, path: Path) -> None:
    damage(path)
    assert not await archive.put(response(1))
    with pytest.raises(ArchiveUnavailable):
        await archive.get("resp_1", "")
    repair(path)
    assert await archive.put(response(1))
