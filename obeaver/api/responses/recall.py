"""What a request refers to and does not say: the conversation that it goes on with, and items that are stored."""

from dataclasses import replace
from typing import Final

from obeaver.api.responses.items import REFERENCE
from obeaver.api.responses.request import ResponsesRequest
from obeaver.archive.archive import Archive
from obeaver.archive.stored_response import StoredItem
from obeaver.errors import BadRequest, NotFound

NOT_STORED: Final = "this server stores no responses (--no-store-responses); send the whole conversation as `input`"


async def recalled(asked: ResponsesRequest, archive: Archive | None, owner: str) -> ResponsesRequest:
    """The request with all that was said before it, and with items in the place of references.

    Args:
        asked: As the client sent it.
        archive: Where it is looked up; None where nothing is stored.
        owner: Who asks.

    Raises:
        BadRequest: There is no such response, or nothing is stored here.
        NotFound: There is no such item.
        ArchiveUnavailable: Nothing can be looked up.
    """
    return replace(asked, items=(*await _history(asked, archive, owner), *await _items(asked, archive, owner)))


async def _history(asked: ResponsesRequest, archive: Archive | None, owner: str) -> tuple[StoredItem, ...]:
    param = "previous_response_id"
    if asked.previous_response_id is None:
        return ()
    if archive is None:
        raise BadRequest(f"`{param}` is not supported: {NOT_STORED}.", param=param, code="unsupported_parameter")
    previous = await archive.get(asked.previous_response_id, owner)
    if previous is None:
        message = f"`{param}` is the id of no stored response: it was not stored, was removed, or is too old."
        raise BadRequest(message, param=param, code="previous_response_not_found")
    return *previous.inputs, *previous.output


async def _items(asked: ResponsesRequest, archive: Archive | None, owner: str) -> tuple[StoredItem, ...]:
    references = {item.id for item in asked.items if item.document["type"] == REFERENCE}
    if not references:
        return asked.items
    found = {} if archive is None else await archive.find_items(references, owner)
    return tuple(_resolved(index, item, found, archive) for index, item in enumerate(asked.items))


def _resolved(index: int, item: StoredItem, found: dict[str, StoredItem], archive: Archive | None) -> StoredItem:
    if item.document["type"] != REFERENCE:
        return item
    if item.id in found:
        return found[item.id]
    if archive is None:
        param = f"input[{index}].type"
        raise BadRequest(f"`{param}` is not supported: {NOT_STORED}.", param=param, code="unsupported_value")
    param = f"input[{index}].id"
    message = f"`{param}` is the id of no stored item: it was not stored, was removed, or is too old."
    raise NotFound(message, param=param, code="item_not_found")
