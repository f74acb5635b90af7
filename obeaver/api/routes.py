"""The route tables of the servers: operations and the handlers that answer them."""

from collections.abc import Sequence
from pathlib import Path

from obeaver import __version__
from obeaver.api.chat.endpoint import ChatApi
from obeaver.api.chat.tokens import TokensApi
from obeaver.api.completions.endpoint import CompletionsApi
from obeaver.api.contract.operations import DASHBOARD, SERVE, Operation
from obeaver.api.models.listing import ModelsApi
from obeaver.api.models.model_loading import ModelLoadingApi
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


def routes(state: ApiState) -> list[Route]:
    """The routes of `obeaver serve`."""
    return _bound(SERVE, _chat_handlers(state, SERVE))


def dashboard_routes(state: ApiState, page_folder: Path) -> list[Route]:
    """The routes of `obeaver dashboard`: those of `serve`, and the files of the page."""

    async def to_page(_request: Request) -> Redirect:
        return Redirect(PAGE)

    handlers = _chat_handlers(state, DASHBOARD)
    page: dict[str, Handler] = {"page": to_page, "pageFile": StaticFiles(page_folder, headers=PAGE_HEADERS)}
    return _bound(DASHBOARD, handlers | page)


def _chat_handlers(state: ApiState, operations: Sequence[Operation]) -> dict[str, Handler]:
    tokens, loading = TokensApi(state), ModelLoadingApi(state)
    handlers: dict[str, Handler] = {
        "createChatCompletion": ChatApi(state).create,
        "createCompletion": CompletionsApi(state).create,
        "tokenize": tokens.tokenize,
        "detokenize": tokens.detokenize,
        "availableModels": loading.available,
        "loadModel": loading.load,
    }
    return handlers | _shared_handlers(state, operations)


def _shared_handlers(state: ApiState, operations: Sequence[Operation]) -> dict[str, Handler]:
    """Handlers of what every server answers."""
    models = ModelsApi(lambda: state.models.held)
    system = SystemApi(ChatCondition(state.models), state.monitor, operations)
    docs = DocsApi(operations, title="obeaver", version=__version__)
    return {
        "listModels": models.list,
        "retrieveModel": models.retrieve,
        "root": system.root,
        "health": system.health,
        "systemMemory": system.memory,
        "metrics": system.metrics,
        "openapi": docs.openapi,
        "docs": docs.page,
    }


def _bound(operations: Sequence[Operation], handlers: dict[str, Handler]) -> list[Route]:
    return [Route(operation.method, operation.path, handlers[operation.id]) for operation in operations]
