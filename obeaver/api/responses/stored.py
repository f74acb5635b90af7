"""`/v1/responses/{id}`: responses that were stored or are being made, and what they answer."""

from collections.abc import Mapping, Sequence
from typing import Final

from obeaver.api.contract.queries import one_of, wants_stream, whole_number
from obeaver.api.models.state import ApiState
from obeaver.api.responses.background import BackgroundResponse, BackgroundResponses
from obeaver.api.responses.keeping import response_of
from obeaver.archive.stored_response import StoredItem, StoredResponse
from obeaver.errors import BadRequest, NotFound
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100
MAX_EVENT: Final = 10**9


class StoredResponsesApi:
    """Handlers of stored responses.

    Args:
        state: Has the archive.
        background: Responses that are being made.
    """

    def __init__(self, state: ApiState, background: BackgroundResponses) -> None:
        self._archive = state.archive
        self._background = background
        self._keep_alive_s = state.stream_keep_alive_s

    async def retrieve(self, request: Request) -> JSONResponse | EventStream:
        """`GET /v1/responses/{id}`: as it stands, or as the events of one that is made in the background.

        Raises:
            BadRequest: A stream is asked for that there is not.
            NotFound: There is no such response.
            ArchiveUnavailable: It cannot be read.
        """
        first = whole_number(request, "starting_after", default=-1, lowest=0, highest=MAX_EVENT) + 1
        streams, made = wants_stream(request), self._background.find(request.path_params["id"], request.caller)
        if first and not streams:
            raise BadRequest("`starting_after` needs `stream`.", param="starting_after", code="invalid_value")
        if made is not None:
            return EventStream(made.events(first), keep_alive_s=self._keep_alive_s) if streams else _shown(made)
        stored = await self._find(request)
        if streams:
            message = (
                "`stream` is not supported here: only what is made in the background, or was just now, has events."
            )
            raise BadRequest(message, param="stream", code="unsupported_parameter")
        return JSONResponse(response_of(stored))

    async def cancel(self, request: Request) -> JSONResponse:
        """`POST /v1/responses/{id}/cancel`: end one that is made in the background; one that has ended stays as it is.

        Raises:
            BadRequest: It is not made in the background.
            NotFound: There is no such response.
            ArchiveUnavailable: It cannot be read.
        """
        made = self._background.find(request.path_params["id"], request.caller)
        if made is not None:
            await made.cancel()
            return _shown(made)
        response = response_of(await self._find(request))
        if not response["background"]:
            message = "Only a response that is made in the background can be cancelled; to end another one, hang up."
            raise BadRequest(message, code="not_in_background")
        return JSONResponse(response)

    async def delete(self, request: Request) -> JSONResponse:
        """`DELETE /v1/responses/{id}`; one that is being made is ended.

        Raises:
            NotFound: There is no such response.
            ArchiveUnavailable: It cannot be removed.
        """
        response_id = request.path_params["id"]
        await self._background.forget(response_id, request.caller)
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


def _shown(made: BackgroundResponse) -> JSONResponse:
    return JSONResponse(made.response)


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
