"""What the servers answer, as data: routes, `GET /`, `/openapi.json`, `/docs` and tests all read these tables."""

from dataclasses import dataclass, replace

from obeaver.errors import (
    ApiError,
    BadRequest,
    Conflict,
    ContextLengthExceeded,
    EngineFailed,
    ModelLoadFailed,
    ModelNotLoaded,
    NotFound,
    PayloadTooLarge,
    QueueFull,
    RequestTimeout,
    TemplateFailed,
    Unavailable,
    UnsupportedMediaType,
)

JSON = "application/json"
HTML = "text/html"
EVENTS = "text/event-stream"
ANY_FILE = "*/*"
PROMETHEUS = "text/plain"

BODY_ERRORS = (BadRequest, RequestTimeout, PayloadTooLarge, UnsupportedMediaType)
ENGINE_ERRORS = (QueueFull, EngineFailed, Unavailable, ModelNotLoaded)
CHOICE_ERRORS = (NotFound, ModelLoadFailed)
"""Of the model that a request names: not served here, under `--strict-model`; unloaded, and cannot be loaded again."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A method on a path.

    Attributes:
        id: Names it in `/openapi.json`, and finds its handler.
        method: In capitals.
        path: As the router has it.
        summary: One line.
        response: Name in `responses.json`, None for what is not JSON.
        media_type: Of the answer; "" where it has no body.
        request: Name of the body's schema.
        event: Name in `responses.json` of one event, where the answer may be a stream.
        accepted: Name in `responses.json` of a 202's body, where there may be one.
        query: Parameters of the query, each with its description.
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
    accepted: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    errors: tuple[type[ApiError], ...] = ()
    example: str | None = None
    status: int = 200


CHAT = (
    Operation(
        id="createChatCompletion",
        method="POST",
        path="/v1/chat/completions",
        summary="Answer a conversation, whole or as a stream",
        request="chat_completion",
        response="ChatCompletion",
        event="ChatCompletionChunk",
        errors=(*BODY_ERRORS, ContextLengthExceeded, TemplateFailed, *CHOICE_ERRORS, *ENGINE_ERRORS),
        example='{"messages": [{"role": "user", "content": "Why is the sky blue?"}], "max_tokens": 64}',
    ),
)

COMPLETIONS = (
    Operation(
        id="createCompletion",
        method="POST",
        path="/v1/completions",
        summary="Go on with a text, whole or as a stream",
        request="completion",
        response="Completion",
        event="CompletionChunk",
        errors=(*BODY_ERRORS, ContextLengthExceeded, *CHOICE_ERRORS, *ENGINE_ERRORS),
        example='{"prompt": "The beaver is", "max_tokens": 16}',
    ),
)

TOKENS = (
    Operation(
        id="tokenize",
        method="POST",
        path="/v1/tokenize",
        summary="Tokens of a text or a conversation",
        request="tokenize",
        response="Tokenized",
        errors=(*BODY_ERRORS, TemplateFailed, *CHOICE_ERRORS, ModelNotLoaded),
        example='{"prompt": "The beaver is"}',
    ),
    Operation(
        id="detokenize",
        method="POST",
        path="/v1/detokenize",
        summary="The text of tokens",
        request="detokenize",
        response="Detokenized",
        errors=(*BODY_ERRORS, *CHOICE_ERRORS, ModelNotLoaded),
        example='{"tokens": [1, 2, 3]}',
    ),
)

MODELS = (
    Operation("listModels", "GET", "/v1/models", "The models that answer, the default first", response="ModelList"),
    Operation(
        "retrieveModel", "GET", "/v1/models/{id:path}", "One model by its id", response="Model", errors=(NotFound,)
    ),
)

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
        query=(
            ("wait", "`false` answers 202 at once; `load` of `/health` then tells how far it is, and how it ended."),
        ),
        errors=(*BODY_ERRORS, NotFound, Conflict, ModelLoadFailed),
        example='{"alias": "smollm2-135m"}',
    ),
)

_PULL_STREAM = (
    ("stream", "`true`, or `Accept: text/event-stream`: an event at each step of its progress, to its end."),
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
    "`true`, or `Accept: text/event-stream`: an event twice a second where something changes, else every two seconds. "
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
        query=(("stream", _ABOUT_ENGINE_STREAM),),
        errors=(BadRequest,),
    ),
)

SYSTEM = (
    Operation("root", "GET", "/", "Name, version and endpoints of this server", response="Root"),
    Operation("health", "GET", "/health", "Whether requests are answered, and by what", response="Health"),
    Operation("systemMemory", "GET", "/api/system/memory", "Memory of devices and process", response="SystemMemory"),
    Operation("metrics", "GET", "/metrics", "Counters in Prometheus' text format", media_type=PROMETHEUS),
    Operation("openapi", "GET", "/openapi.json", "This description, as OpenAPI 3.1", response="OpenApi"),
    Operation("docs", "GET", "/docs", "This description, as a page", media_type=HTML),
)

EMBEDDINGS = (
    Operation(
        id="createEmbedding",
        method="POST",
        path="/v1/embeddings",
        summary="Vectors of length 1 for texts",
        request="embeddings",
        response="EmbeddingList",
        errors=(*BODY_ERRORS, ContextLengthExceeded, *ENGINE_ERRORS),
        example='{"input": ["Beavers build dams.", "Biber bauen Burgen."]}',
    ),
)

RERANK = (
    Operation(
        id="rerank",
        method="POST",
        path="/v1/rerank",
        summary="Order documents by how well they answer a query",
        request="rerank",
        response="RerankResult",
        errors=(*BODY_ERRORS, ContextLengthExceeded, *ENGINE_ERRORS),
        example='{"query": "Who builds dams?", "documents": ["Beavers do.", "It rains."]}',
    ),
)

EMBED_SYSTEM = tuple(
    replace(operation, response="EmbedHealth") if operation.id == "health" else operation for operation in SYSTEM
)

SERVE = (*CHAT, *COMPLETIONS, *TOKENS, *MODELS, *LOADING, *PULLING, *LIVE, *SYSTEM)
"""`obeaver serve`."""

PAGE = (
    Operation("page", "GET", "/", "Redirect to the dashboard's page", media_type="", status=307),
    Operation("pageFile", "GET", "/static/{path:path}", "A file of the page", media_type=ANY_FILE, errors=(NotFound,)),
)

DASHBOARD = (*(operation for operation in SERVE if operation.id != "root"), *PAGE)
"""`obeaver dashboard`."""

SERVE_EMBED = (*EMBEDDINGS, *MODELS, *EMBED_SYSTEM)
"""`obeaver serve-embed` with an embedding model."""

SERVE_RERANK = (*RERANK, *MODELS, *EMBED_SYSTEM)
"""`obeaver serve-embed` with a reranker."""
