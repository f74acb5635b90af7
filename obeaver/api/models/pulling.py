"""`/api/models/pull`: fetching models on behalf of clients, where the server was started with `--allow-pull`."""

from collections.abc import AsyncGenerator, Mapping

from obeaver.api.contract import wire
from obeaver.api.contract.queries import wants_stream
from obeaver.api.contract.validation import parse
from obeaver.api.models.model_load import without_paths
from obeaver.api.models.pull_job import PullJob
from obeaver.api.models.pulls import PullOrder, Pulls
from obeaver.errors import BadRequest, ModelError, NotFound
from obeaver.models.catalog import CatalogEntry
from obeaver.models.names import is_name
from obeaver.models.sources.address import HUB, parse_address
from obeaver.web import sse
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream


class PullingApi:
    """Handlers of pulls.

    Args:
        pulls: Those of this server.
        catalog: What can be pulled by name.
    """

    def __init__(self, pulls: Pulls, catalog: Mapping[str, CatalogEntry]) -> None:
        self._pulls = pulls
        self._catalog = catalog

    async def list(self, _request: Request) -> JSONResponse:
        """`GET /api/models/pull`: whether clients may pull, and the latest pulls."""
        pulls = [pull_object(job) for job in self._pulls.latest()]
        return JSONResponse({"allowed": self._pulls.allowed, "pulls": pulls})

    async def start(self, request: Request) -> JSONResponse | EventStream:
        """`POST /api/models/pull`: 202 and the pull, or its progress as events. It goes on if the client leaves.

        Raises:
            BadRequest: The body or the query is wrong.
            NotFound: The catalogue has no such model.
            Forbidden: Clients of this server may not pull.
            Conflict: Another pull is under way.
        """
        order = pull_order(parse("pull_model", await request.json()), self._catalog)
        stream = wants_stream(request)
        return _shown(self._pulls.start(order), stream=stream, status=202)

    async def show(self, request: Request) -> JSONResponse | EventStream:
        """`GET /api/models/pull/{id}`.

        Raises:
            NotFound: There is no such pull.
        """
        return _shown(self._find(request), stream=wants_stream(request))

    async def cancel(self, request: Request) -> JSONResponse:
        """`POST /api/models/pull/{id}/cancel`: end it; one that is over stays as it is.

        Raises:
            NotFound: There is no such pull.
        """
        job = self._find(request)
        job.cancel()
        while not job.is_over:
            await job.changed(job.state)
        return JSONResponse(pull_object(job))

    def _find(self, request: Request) -> PullJob:
        job = self._pulls.find(request.path_params["id"])
        if job is None:
            raise NotFound("There is no such pull; /api/models/pull lists the latest ones.", code="pull_not_found")
        return job


def pull_order(body: wire.Object, catalog: Mapping[str, CatalogEntry]) -> PullOrder:
    """What a valid body asks for.

    Raises:
        BadRequest: A name or an address is none.
        NotFound: The catalogue has no such model.
    """
    asked, name = body["model"], body.get("name")
    if name is not None and not is_name(name.lower()):
        message = "`name` must be letters, digits, '.', '_' and '-', beginning and ending with a letter or a digit."
        raise BadRequest(message, param="name", code="invalid_value")
    if asked.lower().startswith(HUB):
        _check_address(asked)
    elif asked.lower() not in catalog:
        raise NotFound(
            "The catalogue has no such model: /api/models/catalog lists those that it has, and hf:ORG/REPO means "
            "one of the hub.",
            param="model",
            code="model_not_found",
        )
    elif name is not None:
        message = "A model of the catalogue has a name already: only one of the hub can be given one."
        raise BadRequest(message, param="name", code="invalid_value")
    return PullOrder(asked, name, body.get("weights"), body.get("kv"))


def _check_address(asked: str) -> None:
    try:
        parse_address(asked)
    except ModelError:
        message = "`model` is no address of the hub: it is written hf:ORG/REPO[@REVISION][:FILE-OR-FOLDER]."
        raise BadRequest(message, param="model", code="invalid_value") from None


def pull_object(job: PullJob) -> wire.Object:
    """A pull as clients see it."""
    state = job.state
    return {
        "id": job.id,
        "asked": job.asked,
        "status": state.status,
        "stage": state.stage,
        "unit": state.unit,
        "done": state.done,
        "total": state.total,
        "seconds": round(job.duration_s, 2),
        "notes": [without_paths(note, job.asked, None) for note in state.notes],
        "model": state.model,
        "error": None if state.error is None else without_paths(state.error, job.asked, None),
    }


def _shown(job: PullJob, *, stream: bool, status: int = 200) -> JSONResponse | EventStream:
    return EventStream(_events(job)) if stream else JSONResponse(pull_object(job), status=status)


async def _events(job: PullJob) -> AsyncGenerator[bytes, None]:
    """The pull at each change, to its end."""
    yield sse.event(pull_object(job))
    while not job.is_over:
        await job.changed(job.state)
        yield sse.event(pull_object(job))
