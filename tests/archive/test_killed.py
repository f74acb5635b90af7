"""A process that stores responses is killed: what it said is stored is there and whole, and nothing else is."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.stored import response

pytest.importorskip("resource", reason="kill -9 and limits of files are POSIX's")

WRITER = Path(__file__).with_name("writer.py")
LIMIT = 400_000


@contextmanager
def writer(path: Path, max_bytes: int, first: int, largest_file: int = 0) -> Iterator[Iterator[str]]:
    """A process that stores responses, and what it says of each; killed at the end of the block."""
    words = [sys.executable, str(WRITER), str(path), *map(str, (max_bytes, first, largest_file))]
    environ = os.environ | {"PYTHONPATH": str(WRITER.parent.parent)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environ)
    with process:
        assert process.stdout is not None
        try:
            yield (line.strip() for line in process.stdout)
        finally:
            process.kill()


def check_whole(found: Any, number: int) -> None:
    expected = response(number, text=f"<{number}>" * 100)
    assert found.document == expected.document
    assert [item.document for item in found.output] == [item.document for item in expected.output]
    first = number - (number - 1) % 10
    said = [found.document["text"] for found in found.inputs]
    expected_said = [f"<{turn}>" * 100 for turn in range(first, number) for _ in range(2)]
    assert said[-1] == f"<{number}>" * 100
    assert said[:-1] == expected_said[len(expected_said) - len(said) + 1 :]


@pytest.mark.parametrize("max_bytes", [1_000_000_000, LIMIT])
def test_a_thousand_responses_survive_kill_9_in_the_middle(opened: Any, path: Path, max_bytes: int) -> None:
    last, num_kills = 0, 4
    for kill in range(1, num_kills + 1):
        with writer(path, max_bytes, last + 1) as said:
            for line in said:
                last = int(line)
                if last >= 1000 * kill // num_kills:
                    break
        responses = opened(max_bytes)
        # All of them in the end, before that the latest.
        looked_at = range(1 if kill == num_kills else last - 20, last + 3)
        found = {number: responses.get(f"resp_{number}", "") for number in looked_at}
        kept = [number for number, response in found.items() if response is not None]
        # What was written while it was killed is there whole, or not at all.
        assert last <= kept[-1]
        assert kept == list(range(kept[0], kept[-1] + 1))
        for number in kept:
            check_whole(found[number], number)
        responses.close()
        assert path.stat().st_size <= max_bytes
        last = kept[-1]
    assert (kept[0] == 1) == (max_bytes > LIMIT)
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        unused = "SELECT count(*) FROM items WHERE key NOT IN (SELECT item FROM uses)"
        assert database.execute(unused).fetchone() == (0,)
    database.close()


def test_a_full_disk_keeps_what_was_stored(opened: Any, path: Path) -> None:
    stored: list[int] = []
    num_full = 0
    with writer(path, 1_000_000_000, 1, largest_file=300_000) as said:
        # The log may be full before the file is; it is emptied then, and there is room again for a while.
        while num_full < 3:
            line = next(said)
            stored += [int(line)] if line != "full" else []
            num_full = num_full + 1 if line == "full" else 0
    responses = opened()
    assert len(stored) > 10
    for number in stored:
        assert responses.get(f"resp_{number}", "") is not None
    assert responses.delete("resp_1", "")
    responses.put(response(10_000))
