"""The route table of `obeaver serve-embed`: operations and the handlers that answer them."""

from obeaver import __version__
from obeaver.api.contract.operations import SERVE_EMBED, SERVE_RERANK
from obeaver.api.encoders.condition import EmbedCondition
from obeaver.api.encoders.embeddings import EmbeddingsApi
from obeaver.api.encoders.rerank import RerankApi
from obeaver.api.encoders.state import EmbedState
from obeaver.api.models.listing import ModelsApi
from obeaver.api.system.docs import DocsApi
from obeaver.api.system.system import SystemApi
from obeaver.web.router import Handler, Route


def embed_routes(state: EmbedState, *, reranks: bool) -> list[Route]:
    """The routes of `obeaver serve-embed`, for an embedding model or a reranker."""
    operations = SERVE_RERANK if reranks else SERVE_EMBED
    models = ModelsApi(lambda: state.models.served)
    system = SystemApi(EmbedCondition(state.models), state.monitor, operations)
    docs = DocsApi(operations, title="obeaver", version=__version__)
    handlers: dict[str, Handler] = {
        "createEmbedding": EmbeddingsApi(state).create,
        "rerank": RerankApi(state).create,
        "listModels": models.list,
        "retrieveModel": models.retrieve,
        "root": system.root,
        "health": system.health,
        "systemMemory": system.memory,
        "metrics": system.metrics,
        "openapi": docs.openapi,
        "docs": docs.page,
    }
    return [Route(operation.method, operation.path, handlers[operation.id]) for operation in operations]
