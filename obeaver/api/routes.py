"""The route tables of the servers: operations and the handlers that answer them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from obeaver import __version__
from obeaver.api.chat.endpoint import ChatApi
from obeaver.api.chat.tokens import TokensApi
from obeaver.api.completions.endpoint import CompletionsApi
from obeaver.api.contract.operations import DASHBOARD, SERVE, SERVE_EMBED, SERVE_RERANK, Operation
from obeaver.api.encoders.condition import EmbedCondition
from obeaver.api.encoders.embeddings import EmbeddingsApi
from obeaver.api.encoders.rerank import RerankApi
from obeaver.api.encoders.state import EmbedState
from obeaver.api.live.endpoint import EngineLive
from obeaver.api.models.catalog import CatalogApi
from obeaver.api.models.listing import ModelsApi, ServedModel
from obeaver.api.models.model_loading import ModelLoadingApi
from obeaver.api.models.pulling import PullingApi
from obeaver.api.models.state import ApiState
from obeaver.api.system.condition import ChatCondition
from obeaver.api.system.docs import DocsApi
from obeaver.api.system.system import SystemApi
from obeaver.web.page_headers import PAGE_HEADERS
from obeaver.web.request import Request
from obeaver.web.response import Redirect
from obeaver.web.router import Handler, Route
from obeaver.web.static_files import StaticFiles

PAGE = "/static/index.html"
"""Where the dashboard's page is."""

Handlers = Mapping[str, Handler]
"""By the operation's id."""


def routes(state: ApiState) -> list[Route]:
    """The routes of `obeaver serve`."""
    return _chat_routes(SERVE, state, {})


def dashboard_routes(state: ApiState, page_folder: Path) -> list[Route]:
    """The routes of `obeaver dashboard`: those of `serve`, and the files of the page."""

    async def to_page(_request: Request) -> Redirect:
        return Redirect(PAGE)

    page: Handlers = {"page": to_page, "pageFile": StaticFiles(page_folder, headers=PAGE_HEADERS)}
    return _chat_routes(DASHBOARD, state, page)


def embed_routes(state: EmbedState, *, reranks: bool) -> list[Route]:
    """The routes of `obeaver serve-embed`, for an embedding model or a reranker."""
    operations = SERVE_RERANK if reranks else SERVE_EMBED
    handlers: Handlers = {"createEmbedding": EmbeddingsApi(state).create, "rerank": RerankApi(state).create}
    system = SystemApi(EmbedCondition(state.models), state.monitor, operations)
    return _bound(operations, handlers, system, lambda: state.models.served)


def _chat_routes(operations: Sequence[Operation], state: ApiState, further: Handlers) -> list[Route]:
    tokens, loading = TokensApi(state), ModelLoadingApi(state)
    pulling = PullingApi(state.pulls, state.catalog)
    handlers: Handlers = {
        "createChatCompletion": ChatApi(state).create,
        "createCompletion": CompletionsApi(state).create,
        "tokenize": tokens.tokenize,
        "detokenize": tokens.detokenize,
        "availableModels": loading.available,
        "loadModel": loading.load,
        "modelCatalog": CatalogApi(state.catalog, state.library, state.models, can_pull=state.pulls.allowed).show,
        "listPulls": pulling.list,
        "pullModel": pulling.start,
        "showPull": pulling.show,
        "cancelPull": pulling.cancel,
        "engine": EngineLive(state.models, state.request_log, state.clock).show,
    }
    system = SystemApi(ChatCondition(state.models), state.monitor, operations)
    return _bound(operations, {**handlers, **further}, system, lambda: state.models.held)


def _bound(
    operations: Sequence[Operation],
    handlers: Handlers,
    system: SystemApi,
    served: Callable[[], Sequence[ServedModel]],
) -> list[Route]:
    """A line for each operation: its own handler, or that of what every server answers."""
    models, docs = ModelsApi(served), DocsApi(operations, title="obeaver", version=__version__)
    shared: Handlers = {
        "listModels": models.list,
        "retrieveModel": models.retrieve,
        "root": system.root,
        "health": system.health,
        "systemMemory": system.memory,
        "metrics": system.metrics,
        "openapi": docs.openapi,
        "docs": docs.page,
    }
    bound = {**shared, **handlers}
    return [Route(operation.method, operation.path, bound[operation.id]) for operation in operations]
