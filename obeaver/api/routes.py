"""The servers as tables: the dialects that each speaks, all that it answers, and the routes to the handlers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from obeaver import __version__
from obeaver.api.anthropic.dialect import ANTHROPIC
from obeaver.api.chat.dialect import CHAT
from obeaver.api.completions.dialect import COMPLETIONS
from obeaver.api.contract.operations import (
    EMBED_SYSTEM,
    LIVE,
    LOADING,
    MODELS,
    PAGE,
    PULLING,
    SYSTEM,
    Operation,
)
from obeaver.api.core.dialect import Dialect
from obeaver.api.encoders.condition import EmbedCondition
from obeaver.api.encoders.dialects import EMBEDDINGS, RERANK
from obeaver.api.encoders.state import EmbedState
from obeaver.api.live.endpoint import EngineLive
from obeaver.api.models.catalog import CatalogApi
from obeaver.api.models.listing import ModelsApi, ServedModel
from obeaver.api.models.model_loading import ModelLoadingApi
from obeaver.api.models.pulling import PullingApi
from obeaver.api.models.state import ApiState
from obeaver.api.ollama.dialect import OLLAMA, OLLAMA_EMBED
from obeaver.api.responses.dialect import RESPONSES
from obeaver.api.system.condition import ChatCondition
from obeaver.api.system.docs import DocsApi
from obeaver.api.system.system import SystemApi
from obeaver.web.error_shape import OWN_SHAPE
from obeaver.web.page_headers import PAGE_HEADERS
from obeaver.web.request import Request
from obeaver.web.response import Redirect
from obeaver.web.router import Handler, Route
from obeaver.web.static_files import StaticFiles

S = TypeVar("S")

Handlers = Mapping[str, Handler]
"""By the operation's id."""

DIALECTS: Final[tuple[Dialect[ApiState], ...]] = (CHAT, RESPONSES, COMPLETIONS, ANTHROPIC, OLLAMA)
"""How chat models are spoken with."""

EMBEDDING_DIALECTS: Final[tuple[Dialect[EmbedState], ...]] = (EMBEDDINGS, OLLAMA_EMBED)
"""How embedding models are spoken with."""

RERANK_DIALECTS: Final[tuple[Dialect[EmbedState], ...]] = (RERANK,)
"""How rerankers are spoken with."""


def _operations(dialects: Iterable[Dialect[S]]) -> tuple[Operation, ...]:
    return tuple(operation for dialect in dialects for operation in dialect.operations)


SERVE: Final = (*_operations(DIALECTS), *MODELS, *LOADING, *PULLING, *LIVE, *SYSTEM)
"""What `obeaver serve` answers."""

DASHBOARD: Final = (*(operation for operation in SERVE if operation.id != "root"), *PAGE)
"""What `obeaver dashboard` answers."""

SERVE_EMBED: Final = (*_operations(EMBEDDING_DIALECTS), *MODELS, *EMBED_SYSTEM)
"""What `obeaver serve-embed` answers with an embedding model."""

SERVE_RERANK: Final = (*_operations(RERANK_DIALECTS), *MODELS, *EMBED_SYSTEM)
"""What `obeaver serve-embed` answers with a reranker."""

PAGE_PATH: Final = "/static/index.html"
"""Where the dashboard's page is."""


def routes(state: ApiState) -> list[Route]:
    """The routes of `obeaver serve`."""
    return _chat_routes(SERVE, state, {})


def dashboard_routes(state: ApiState, page_folder: Path) -> list[Route]:
    """The routes of `obeaver dashboard`: those of `serve`, and the files of the page."""

    async def to_page(_request: Request) -> Redirect:
        return Redirect(PAGE_PATH)

    page: Handlers = {"page": to_page, "pageFile": StaticFiles(page_folder, headers=PAGE_HEADERS)}
    return _chat_routes(DASHBOARD, state, page)


def embed_routes(state: EmbedState, *, reranks: bool) -> list[Route]:
    """The routes of `obeaver serve-embed`, for an embedding model or a reranker."""
    operations, dialects = (SERVE_RERANK, RERANK_DIALECTS) if reranks else (SERVE_EMBED, EMBEDDING_DIALECTS)
    system = SystemApi(EmbedCondition(state.models), state.monitor, operations, state.metrics)
    handlers = _shared_handlers(operations, system, lambda: state.models.served)
    return _bound(operations, {**handlers, **_handlers(dialects, state)}, dialects)


def _chat_routes(operations: Sequence[Operation], state: ApiState, further: Handlers) -> list[Route]:
    loading, pulling = ModelLoadingApi(state), PullingApi(state.pulls, state.catalog)
    system = SystemApi(ChatCondition(state.models), state.monitor, operations, state.metrics)
    handlers: Handlers = {
        **_shared_handlers(operations, system, lambda: state.models.held),
        **_handlers(DIALECTS, state),
        "availableModels": loading.available,
        "loadModel": loading.load,
        "modelCatalog": CatalogApi(state.catalog, state.library, state.models, can_pull=state.pulls.allowed).show,
        "listPulls": pulling.list,
        "pullModel": pulling.start,
        "showPull": pulling.show,
        "cancelPull": pulling.cancel,
        "engine": EngineLive(state.models, state.request_log, state.clock).show,
    }
    return _bound(operations, {**handlers, **further}, DIALECTS)


def _handlers(dialects: Iterable[Dialect[S]], state: S) -> Handlers:
    return {name: handler for dialect in dialects for name, handler in dialect.handlers(state).items()}


def _shared_handlers(
    operations: Sequence[Operation], system: SystemApi, served: Callable[[], Sequence[ServedModel]]
) -> Handlers:
    """Handlers of what every server answers."""
    models, docs = ModelsApi(served), DocsApi(operations, title="obeaver", version=__version__)
    return {
        "listModels": models.list,
        "retrieveModel": models.retrieve,
        "root": system.root,
        "health": system.health,
        "live": system.live,
        "ready": system.ready,
        "systemMemory": system.memory,
        "metrics": system.metrics,
        "openapi": docs.openapi,
        "docs": docs.page,
    }


def _bound(operations: Iterable[Operation], handlers: Handlers, dialects: Iterable[Dialect[Any]]) -> list[Route]:
    shapes = {operation.id: dialect.errors for dialect in dialects for operation in dialect.operations}
    return [
        Route(operation.method, operation.path, handlers[operation.id], shapes.get(operation.id, OWN_SHAPE))
        for operation in operations
    ]
