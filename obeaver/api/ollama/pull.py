"""`POST /api/pull`: fetching a model, told in Ollama's words; only where the server was started with `--allow-pull`."""

from collections.abc import AsyncGenerator, Mapping

from obeaver.api.contract import wire
from obeaver.api.contract.validation import parse
from obeaver.api.models.model_load import without_paths
from obeaver.api.models.pull_job import DONE, PullJob
from obeaver.api.models.pulling import pull_order
from obeaver.api.models.pulls import Pulls
from obeaver.api.ollama.names import plain_name
from obeaver.errors import BadRequest, ModelLoadFailed
from obeaver.models.catalog import CatalogEntry
from obeaver.web import ndjson
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse
from obeaver.web.stream import LINES, EventStream


class PullApi:
    """Handler of pulls.

    Args:
        pulls: Those of this server.
        catalog: What can be pulled by name.
    """

    def __init__(self, pulls: Pulls, catalog: Mapping[str, CatalogEntry]) -> None:
        self._pulls = pulls
        self._catalog = catalog

    async def pull(self, request: Request) -> JSONResponse | EventStream:
        """`POST /api/pull`. It goes on if the client leaves.

        Raises:
            BadRequest: The body is wrong.
            NotFound: The catalogue has no such model.
            Forbidden: Clients of this server may not pull.
            Conflict: Another pull is under way.
            ModelLoadFailed: It failed.
        """
        body = parse("ollama_pull", await request.json())
        asked = body["model"] or body["name"]
        if asked is None:
            raise BadRequest("`model` is required.", param="model", code="missing_required_parameter")
        job = self._pulls.start(pull_order({"model": plain_name(asked)}, self._catalog))
        if body["stream"]:
            return EventStream(_lines(job), framing=LINES)
        while not job.is_over:
            await job.changed(job.state)
        last = _progress(job)
        if "error" in last:
            raise ModelLoadFailed(last["error"])
        return JSONResponse(last)


async def _lines(job: PullJob) -> AsyncGenerator[bytes, None]:
    """The pull at each change, to its end."""
    yield ndjson.line({"status": "pulling manifest"})
    while not job.is_over:
        await job.changed(job.state)
        yield ndjson.line(_progress(job))


def _progress(job: PullJob) -> wire.Object:
    state = job.state
    if state.status == DONE:
        return {"status": "success"}
    if job.is_over:
        return {"error": without_paths(state.error or f"The pull was {state.status}.", job.asked, None)}
    told: wire.Object = {"status": state.stage or "starting"}
    if state.total is not None and state.unit == "B":
        # Clients draw a bar for each digest.
        told |= {"digest": job.id, "total": state.total, "completed": state.done}
    return told
