"""How encoders are spoken with: OpenAI's embeddings, and the rerank dialect of several servers."""

from collections.abc import Mapping

from obeaver.api.contract.operations import BODY_ERRORS, ENGINE_ERRORS, Operation
from obeaver.api.core.dialect import Dialect
from obeaver.api.encoders.embeddings import EmbeddingsApi
from obeaver.api.encoders.rerank import RerankApi
from obeaver.api.encoders.state import EmbedState
from obeaver.errors import ContextLengthExceeded
from obeaver.web.router import Handler


def _embedding_handlers(state: EmbedState) -> Mapping[str, Handler]:
    return {"createEmbedding": EmbeddingsApi(state).create}


def _rerank_handlers(state: EmbedState) -> Mapping[str, Handler]:
    return {"rerank": RerankApi(state).create}


EMBEDDINGS = Dialect(
    operations=(
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
    ),
    handlers=_embedding_handlers,
)

RERANK = Dialect(
    operations=(
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
    ),
    handlers=_rerank_handlers,
)
