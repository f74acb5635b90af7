"""Stores responses until somebody kills it, and says which: `writer.py FILE MAX_BYTES FIRST LARGEST_FILE`.

Each response goes on with the one before it, every tenth one begins anew. LARGEST_FILE in bytes stands for a full disk;
0 for none.
"""

import asyncio
import dataclasses
import itertools
import resource
import sys
from pathlib import Path

from support.stored import response

from obeaver.archive.archive import Archive
from obeaver.archive.stored_response import StoredItem
from obeaver.archive.stored_responses import Limits


async def write(path: Path, max_bytes: int, first: int) -> None:
    archive = Archive(path, Limits(max_bytes, 0))
    history: tuple[StoredItem, ...] = ()
    for number in itertools.count(first):
        new = response(number, text=f"<{number}>" * 100)
        stored = await archive.put(dataclasses.replace(new, inputs=(*history, *new.inputs)))
        print(number if stored else "full", flush=True)  # noqa: T201
        found = await archive.get(new.id, "") if stored else None
        history = (*found.inputs, *found.output) if found is not None and number % 10 else ()


def main() -> None:
    path, max_bytes, first, largest_file = Path(sys.argv[1]), *map(int, sys.argv[2:])
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    asyncio.run(write(path, max_bytes, first))


if __name__ == "__main__":
    main()
