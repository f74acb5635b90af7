"""What an operation is, as data: routes, `GET /`, `/openapi.json`, `/docs` and tests all read these tables.

Those of the dialects stand in their rooms; here are those that every server has beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from obeaver.errors import (
    ApiError,
    BadRequest,
    Conflict,
    EngineFailed,
    ModelLoadFailed,
    ModelNotLoaded,
    NotFound,
    PayloadTooLarge,
    QueueFull,
    RequestTimeout,
    TimedOut,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
)

JSON = "application/json"
HTML = "text/html"
ANY_FILE = "*/*"
PROMETHEUS = "text/plain"
EVENTS = "text/event-stream"

BODY_ERRORS = (BadRequest, RequestTimeout, PayloadTooLarge, UnsupportedMediaType)
ENGINE_ERRORS = (QueueFull, TooManyRequests, EngineFailed, Unavailable, TimedOut, ModelNotLoaded)
CHOICE_ERRORS = (NotFound, ModelLoadFailed)
"""Of the model that a request names: not served here, under `--strict-model`; unloaded, and cannot be loaded again."""


class QueryParameter(NamedTuple):
    """A parameter of the query: its name, what it does, and the schema of its text."""

    name: str
    description: str
    schema: Mapping[str, Any] = MappingProxyType({"type": "string"})


YES_OR_NO: Mapping[str, Any] = MappingProxyType({"type": "string", "enum": ["true", "false", "1", "0", ""]})


@dataclass(frozen=True, slots=True)
class Operation:
    """A method on a path.

    Attributes:
        id: Names it in `/openapi.json`, and finds its handler.
        method: In capitals.
        path: As the router has it.
        summary: One line.
        response: Name in the schemas of answers, None for what is not JSON.
        media_type: Of the answer; "" where it has no body.
        request: Name of the body's schema.
        event: The same of one event, where the answer may be a stream.
        event_type: Media type of that stream.
        accepted: The same of a 202's body, where there may be one.
        error: The same of an error.
        query: Parameters of the query.
        errors: What it may answer beside what every route may.
        example: A body to try it with.
        status: Of the answer.
    """

    id: str
    method: str
    path: str
    summary: str
    response: str | None = None
    media_type: str = JSON
    request: str | None = None
    event: str | None = None
    event_type: str = EVENTS
    accepted: str | None = None
    error: str = "Error"
    query: tuple[QueryParameter, ...] = ()
    errors: tuple[type[ApiError], ...] = ()
    example: str | None = None
    status: int = 200


MODELS = (
    Operation("listModels", "GET", "/v1/models", "The models that answer, the default first", response="ModelList"),
    Operation(
        "retrieveModel", "GET", "/v1/models/{id:path}", "One model by its id", response="Model", errors=(NotFound,)
    ),
)

_ABOUT_WAIT = "`false` answers 202 at once; `load` of `/health` then tells how far it is, and how it ended."

LOADING = (
    Operation(
        "availableModels", "GET", "/api/models/available", "The models that could be loaded", response="AvailableModels"
    ),
    Operation(
        "modelCatalog", "GET", "/api/models/catalog", "The models that can be had by name", response="ModelCatalog"
    ),
    Operation(
        id="loadModel",
        method="POST",
        path="/api/models/load",
        summary="Load a model beside those that answer, and make it the default",
        request="load_model",
        response="ModelLoaded",
        accepted="ModelLoading",
        query=(QueryParameter("wait", _ABOUT_WAIT, YES_OR_NO),),
        errors=(*BODY_ERRORS, NotFound, Conflict, ModelLoadFailed),
        example='{"alias": "smollm2-135m"}',
    ),
)

_PULL_STREAM = (
    QueryParameter(
        "stream",
        "`true`, or `Accept: text/event-stream`: an event at each step of its progress, to its end.",
        YES_OR_NO,
    ),
)

PULLING = (
    Operation(
        "listPulls", "GET", "/api/models/pull", "Whether clients may pull, and the latest pulls", response="Pulls"
    ),
    Operation(
        id="pullModel",
        method="POST",
        path="/api/models/pull",
        summary="Fetch a model into the store, where the server was started with --allow-pull",
        request="pull_model",
        response="Pull",
        media_type=EVENTS,
        accepted="Pull",
        query=_PULL_STREAM,
        errors=(*BODY_ERRORS, NotFound, Conflict),
        example='{"model": "smollm2-135m"}',
    ),
    Operation(
        id="showPull",
        method="GET",
        path="/api/models/pull/{id}",
        summary="How far a pull is",
        response="Pull",
        event="Pull",
        query=_PULL_STREAM,
        errors=(BadRequest, NotFound),
    ),
    Operation(
        id="cancelPull",
        method="POST",
        path="/api/models/pull/{id}/cancel",
        summary="End a pull; what was fetched stays for the next time",
        response="Pull",
        errors=(NotFound,),
    ),
)

_ABOUT_ENGINE_STREAM = (
    "`true`, or `Accept: text/event-stream`: an event twice a second where something changes, else every 1.5 s. "
    "The first has all requests of the log, each further one those that ended since."
)

LIVE = (
    Operation(
        id="engine",
        method="GET",
        path="/api/engine",
        summary="The engines while they work, once or as a stream",
        response="Engines",
        event="Engines",
        query=(QueryParameter("stream", _ABOUT_ENGINE_STREAM, YES_OR_NO),),
        errors=(BadRequest,),
    ),
)

SYSTEM = (
    Operation("root", "GET", "/", "Name, version and endpoints of this server", response="Root"),
    Operation("health", "GET", "/health", "Whether requests are answered, and by what", response="Health"),
    Operation("live", "GET", "/health/live", "503 where only a new start helps", response="Probe"),
    Operation("ready", "GET", "/health/ready", "503 while requests are not answered", response="Probe"),
    Operation("systemMemory", "GET", "/api/system/memory", "Memory of devices and process", response="SystemMemory"),
    Operation("metrics", "GET", "/metrics", "Counters in Prometheus' text format", media_type=PROMETHEUS),
    Operation("openapi", "GET", "/openapi.json", "This description, as OpenAPI 3.1", response="OpenApi"),
    Operation("docs", "GET", "/docs", "This description, as a page", media_type=HTML),
)

EMBED_SYSTEM = tuple(
    replace(operation, response="EmbedHealth") if operation.id == "health" else operation for operation in SYSTEM
)

PAGE = (
    Operation("page", "GET", "/", "Redirect to the dashboard's page", media_type="", status=307),
    Operation("pageFile", "GET", "/static/{path:path}", "A file of the page", media_type=ANY_FILE, errors=(NotFound,)),
)
