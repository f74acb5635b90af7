"""The collection in its file: what is there, for whom, for how long, and what is gone."""

import dataclasses
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from support.stored import bytes_on_disk, item, response

from obeaver.archive.stored_response import StoredItem
from obeaver.archive.stored_responses import TooLarge

SECRET = "the heron nests in the alder carr"


def plain(items: tuple[StoredItem, ...]) -> list[Any]:
    return [found.document for found in items]


def test_what_is_stored_comes_back_after_a_new_start(opened: Any) -> None:
    given = dataclasses.replace(response(1, text="ä\U0001f9ab\u0000 “x”"), inputs=(item(3), item(1), item(2)))
    first = opened()
    first.put(given)
    for responses in (first, opened()):
        found = responses.get("resp_1", "")
        assert found is not None
        assert (found.document, found.created) == (given.document, given.created)
        assert plain(found.inputs) == plain(given.inputs)
        assert plain(found.output) == plain(given.output)
        assert all(part.key is not None for part in (*found.inputs, *found.output))


def test_a_second_one_of_the_same_id_takes_its_place(opened: Any) -> None:
    responses = opened()
    responses.put(response(1, text="queued"))
    responses.put(response(1, text="done"))
    found = responses.get("resp_1", "")
    assert found.document["said"] == "done"
    assert plain(found.output) == plain(response(1, text="done").output)


def test_nobody_reads_or_removes_what_is_anothers(opened: Any) -> None:
    responses = opened()
    responses.put(response(1, owner="ann"))
    for other in ("bob", ""):
        assert responses.get("resp_1", other) is None
        assert responses.find_items(["msg_2"], other) == {}
        assert not responses.delete("resp_1", other)
    assert responses.get("resp_1", "ann") is not None
    assert responses.find_items(["msg_2", "msg_99"], "ann").keys() == {"msg_2"}


def test_a_response_keeps_the_items_of_the_one_before_it_which_is_removed(opened: Any, path: Path) -> None:
    responses = opened()
    responses.put(response(1))
    before = responses.get("resp_1", "")
    history = (*before.inputs, *before.output)
    responses.put(dataclasses.replace(response(2), inputs=(*history, *response(2).inputs)))
    assert responses.delete("resp_1", "")
    assert responses.get("resp_1", "") is None
    found = responses.get("resp_2", "")
    assert [part.id for part in (*found.inputs, *found.output)] == ["msg_2", "msg_3", "msg_4", "msg_5"]
    # The conversation that has gone meanwhile is stored anew by who goes on with it.
    assert responses.delete("resp_2", "")
    responses.put(dataclasses.replace(response(3), inputs=(*found.inputs, *response(3).inputs)))
    assert [part.id for part in responses.get("resp_3", "").inputs] == ["msg_2", "msg_3", "msg_4", "msg_6"]


def test_shared_items_are_on_the_disk_once(opened: Any, path: Path) -> None:
    responses = opened()
    responses.put(response(1, text=SECRET * 100))
    for number in range(2, 30):
        last = responses.get(f"resp_{number - 1}", "")
        more = dataclasses.replace(response(number), inputs=(*last.inputs, *last.output, *response(number).inputs))
        responses.put(more)
    responses.close()
    # In the document and in two items.
    assert bytes_on_disk(path.parent).count(SECRET.encode() * 100) == 3


def test_what_is_removed_is_nowhere_in_the_files(opened: Any, path: Path) -> None:
    responses = opened()
    for number in range(20):
        responses.put(response(number, text=f"{SECRET} {number} " * (number * 40 + 1)))
    assert SECRET.encode() in bytes_on_disk(path.parent)
    for number in range(20):
        assert responses.delete(f"resp_{number}", "")
        assert f"{SECRET} {number} ".encode() not in bytes_on_disk(path.parent)
    assert SECRET.encode() not in bytes_on_disk(path.parent)


def test_what_is_too_old_is_gone(opened: Any, clock: Any) -> None:
    responses = opened(max_age_s=100)
    responses.put(response(1, created=int(clock.now)))
    clock.now += 100
    assert responses.get("resp_1", "") is not None
    clock.now += 1
    assert responses.get("resp_1", "") is None
    assert responses.find_items(["msg_2"], "") == {}
    assert not responses.delete("resp_1", "")
    responses.put(response(2, created=int(clock.now)))
    unlimited = opened()
    assert unlimited.get("resp_1", "") is None
    assert unlimited.get("resp_2", "") is not None


def test_the_file_stays_below_its_limit_and_the_oldest_go_first(opened: Any, path: Path) -> None:
    limit = 500_000
    responses = opened(max_bytes=limit)
    for number in range(300):
        responses.put(response(number, text="x" * 3_000))
        assert path.stat().st_size <= limit
    kept = [number for number in range(300) if responses.get(f"resp_{number}", "")]
    assert kept == list(range(kept[0], 300))
    assert 20 < len(kept) < 60
    responses.close()
    smaller = opened(max_bytes=limit // 4)
    smaller.put(response(300))
    assert smaller.get("resp_300", "") is not None
    smaller.close()
    assert path.stat().st_size <= limit // 4


def test_one_that_is_larger_than_everything_is_refused_and_nothing_else_goes(opened: Any) -> None:
    responses = opened(max_bytes=200_000)
    responses.put(response(1))
    with pytest.raises(TooLarge):
        responses.put(response(2, text="x" * 300_000))
    assert responses.get("resp_1", "") is not None
    assert responses.get("resp_2", "") is None
    responses.put(response(3))


def test_only_the_owner_of_the_files_can_read_them(opened: Any, path: Path) -> None:
    umask = os.umask(0)
    try:
        opened().put(response(1))
        files = sorted(path.parent.iterdir())
        assert len(files) > 1
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(umask)


def test_two_servers_share_a_file(opened: Any) -> None:
    one, other = opened(), opened()
    one.put(response(1))
    assert other.get("resp_1", "") is not None
    other.put(response(2))
    assert one.delete("resp_2", "")
    assert other.get("resp_2", "") is None


def test_a_file_of_another_version_is_left_alone(opened: Any, path: Path) -> None:
    opened().close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(sqlite3.Error, match="version 99"):
        opened()
