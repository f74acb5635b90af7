"""`/v1/responses/{id}`: responses that were stored, and what they answered."""

from collections.abc import Mapping, Sequence
from typing import Final

from obeaver.api.contract.queries import one_of, wants_stream, whole_number
from obeaver.api.models.state import ApiState
from obeaver.api.responses.keeping import response_of
from obeaver.archive.stored_response import StoredItem, StoredResponse
from obeaver.errors import BadRequest, NotFound
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100


class StoredResponsesApi:
    """Handlers of stored responses.

    Args:
        state: Has the archive.
    """

    def __init__(self, state: ApiState) -> None:
        self._archive = state.archive

    async def retrieve(self, request: Request) -> JSONResponse:
        """`GET /v1/responses/{id}`.

        Raises:
            BadRequest: A stream is asked for.
            NotFound: There is no such response.
            ArchiveUnavailable: It cannot be read.
        """
        if wants_stream(request):
            message = "`stream` is not supported here: this response has ended; ask for it without `stream`."
            raise BadRequest(message, param="stream", code="unsupported_parameter")
        return JSONResponse(response_of(await self._find(request)))

    async def delete(self, request: Request) -> JSONResponse:
        """`DELETE /v1/responses/{id}`.

        Raises:
            NotFound: There is no such response.
            ArchiveUnavailable: It cannot be removed.
        """
        response_id = request.path_params["id"]
        if self._archive is None or not await self._archive.delete(response_id, request.caller):
            raise _not_found()
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})

    async def input_items(self, request: Request) -> JSONResponse:
        """`GET /v1/responses/{id}/input_items`: the conversation that a response answers, a page of it.

        Raises:
            BadRequest: The query is wrong.
            NotFound: There is no such response.
            ArchiveUnavailable: It cannot be read.
        """
        limit = whole_number(request, "limit", default=DEFAULT_LIMIT, lowest=1, highest=MAX_LIMIT)
        newest_first = one_of(request, "order", ("desc", "asc")) == "desc"
        items = (await self._find(request)).inputs
        ordered = items[::-1] if newest_first else items
        return JSONResponse(_page(_between(ordered, request.query), limit))

    async def _find(self, request: Request) -> StoredResponse:
        stored = None
        if self._archive is not None:
            stored = await self._archive.get(request.path_params["id"], request.caller)
        if stored is None:
            raise _not_found()
        return stored


def _not_found() -> NotFound:
    message = "There is no such response: it was not stored, was removed, is too old, or is another key's."
    return NotFound(message, code="response_not_found")


def _between(items: Sequence[StoredItem], query: Mapping[str, str]) -> Sequence[StoredItem]:
    """Those after the item that the query names, and before the other one that it names."""
    start = _place(items, query, "after")
    stop = _place(items, query, "before")
    return items[0 if start is None else start + 1 : stop]


def _place(items: Sequence[StoredItem], query: Mapping[str, str], name: str) -> int | None:
    given = query.get(name)
    if not given:
        return None
    place = next((index for index, item in enumerate(items) if item.id == given), None)
    if place is None:
        raise BadRequest(f"`{name}` must be the id of an item of this list.", param=name, code="invalid_value")
    return place


def _page(items: Sequence[StoredItem], limit: int) -> dict[str, object]:
    page = items[:limit]
    return {
        "object": "list",
        "data": [item.document for item in page],
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
        "has_more": len(items) > limit,
    }
