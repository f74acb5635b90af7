"""How a response gets into the archive, and out of it again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from obeaver.api.contract.wire import Object
from obeaver.archive.archive import Archive
from obeaver.archive.stored_response import StoredItem, StoredResponse

_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Ids that a client may give its items; others get one of ours."""

_PREFIXES: Final = {"message": "msg_", "function_call": "fc_", "function_call_output": "fco_", "reasoning": "rs_"}


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where one response is kept.

    Attributes:
        archive: All stored responses.
        owner: Who may read it.
        inputs: The conversation that it answers.
    """

    archive: Archive
    owner: str
    inputs: Sequence[StoredItem]

    async def keep(self, response: Object) -> bool:
        """Store the response as it stands; whether that could be done."""
        return await self.archive.put(
            StoredResponse(
                id=response["id"],
                owner=self.owner,
                created=response["created_at"],
                document={name: value for name, value in response.items() if name != "output"},
                inputs=tuple(_named(item, response["id"], index) for index, item in enumerate(self.inputs)),
                output=tuple(StoredItem(item["id"], item) for item in response["output"]),
            )
        )


def response_of(stored: StoredResponse) -> Object:
    """The response as it was answered."""
    return {**stored.document, "output": [item.document for item in stored.output]}


def _named(item: StoredItem, response_id: str, index: int) -> StoredItem:
    """An item with an id: its own, or one that differs from those of all other items, of input and output."""
    if item.key is not None:
        return item
    kind, unique = item.document["type"], response_id.partition("_")[2]
    item_id = item.id if _PLAIN_ID.fullmatch(item.id) else f"{_PREFIXES[kind]}{unique}i{index:04x}"
    return StoredItem(item_id, {**item.document, "id": item_id})
