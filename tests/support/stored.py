"""Responses to store, and a look at what is on the disk."""

from pathlib import Path

from obeaver.archive.stored_response import StoredItem, StoredResponse


def item(number: int, text: str = "text") -> StoredItem:
    return StoredItem(f"msg_{number}", {"id": f"msg_{number}", "text": text})


def response(number: int, *, owner: str = "", created: int = 1_000_000, text: str = "text") -> StoredResponse:
    """A response whose parts all say the same."""
    return StoredResponse(
        id=f"resp_{number}",
        owner=owner,
        created=created,
        document={"id": f"resp_{number}", "said": text},
        inputs=(item(2 * number, text),),
        output=(item(2 * number + 1, text),),
    )


def bytes_on_disk(folder: Path) -> bytes:
    """The content of all files."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
