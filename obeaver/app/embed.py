"""The embedding server: from settings and a model's folder to an application."""

import contextlib
import gc
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from obeaver.allocator import keep_together
from obeaver.api.encoders.state import EmbedState, EncoderHost, LoadedEncoder
from obeaver.api.metrics.engines import EncoderMetrics
from obeaver.api.metrics.server import ServerMetrics
from obeaver.api.routes import embed_routes
from obeaver.app.application import Application
from obeaver.app.encoder_keeper import EncoderKeeper
from obeaver.app.memory import settle
from obeaver.config import Settings
from obeaver.engine.encoding.meter import UNMEASURED, EncoderMeter
from obeaver.engine.encoding.pooling import ACTIVATIONS, DenseLayer, VectorRecipe
from obeaver.engine.encoding.worker import EncoderWorker
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.engine.sessions.providers import AUTO, choose_provider
from obeaver.errors import ModelError
from obeaver.models.encoder.layout import RERANKER, DenseFacts, EncoderFacts, is_encoder_folder, read_encoder_facts
from obeaver.models.encoder.safetensors import Tensors
from obeaver.models.store import Store, StoredModel
from obeaver.monitor.monitor import Monitor
from obeaver.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from obeaver.engine.encoding.session import EmbeddingSession

logger = logging.getLogger("obeaver")


def embed_application(settings: Settings, stored: StoredModel) -> Application:
    """`obeaver serve-embed`: the embedding API over an embedding model, the rerank API over a reranker.

    Args:
        settings: What the server was told.
        stored: The model to serve.

    Raises:
        ModelError: The folder is broken or of another kind.
    """
    facts = encoder_facts(stored)
    keep_together()
    models = EncoderHost()
    metrics = ServerMetrics()
    meter = EncoderMetrics(metrics.registry).of(stored.name)
    state = EmbedState(models=models, monitor=Monitor(), metrics=metrics)

    @contextlib.asynccontextmanager
    async def life() -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(state.close)
            stack.enter_context(Store(settings.home).use(stored))
            keeper = EncoderKeeper(models, lambda: load_encoder(stored, facts, settings, meter))
            stack.push_async_callback(keeper.close)
            await keeper.load(restart=settings.restart_engine)
            settle()
            stack.callback(gc.unfreeze)
            yield

    def on_drain() -> None:
        models.draining = True

    routes = embed_routes(state, reranks=facts.kind == RERANKER)
    return Application(settings, routes, life, on_drain=on_drain, metrics=metrics, models=[stored.name])


def encoder_facts(stored: StoredModel) -> EncoderFacts:
    """What the folder of an embedding model or a reranker says.

    Raises:
        ModelError: It is broken or of another kind.
    """
    if not is_encoder_folder(stored.folder):
        raise ModelError(f"{stored.name} is not an embedding model: obeaver serve is for chat models")
    return read_encoder_facts(stored.folder)


async def load_encoder(
    stored: StoredModel, facts: EncoderFacts, settings: Settings, meter: EncoderMeter = UNMEASURED
) -> LoadedEncoder:
    """Load a model and start its engine; `meter` is told how long things take.

    Raises:
        ModelError: The folder is broken, or onnxruntime does not take its graph.
    """
    context_length = _context_length(facts, settings)
    tokenizer = Tokenizer.from_folder(facts.folder)
    worker = EncoderWorker(
        lambda: open_encoder(facts, settings.threads or None, settings.provider),
        max_queue=settings.max_queue,
        name=f"encoder {stored.name}",
        meter=meter,
    )
    await worker.start()
    return LoadedEncoder(stored.name, facts, tokenizer, worker, context_length, time.time())


def open_encoder(facts: EncoderFacts, threads: int | None, provider: str = AUTO) -> "EmbeddingSession":
    """Load the graph.

    Raises:
        ModelError: The folder is broken, or onnxruntime does not take its graph.
        ProviderError: The provider is not here, or takes nothing of the graph.
    """
    from obeaver.engine.encoding.session import open_embedding_session, open_scoring_session

    graph, choice = _graph(facts), choose_provider(provider)
    recipe = VectorRecipe(facts.pooling, [_dense(layer) for layer in facts.dense])
    try:
        if facts.kind == RERANKER:
            scores = replace(recipe, normalised=False) if facts.dense else None
            return open_scoring_session(graph, scores, threads=threads, provider=choice)
        return open_embedding_session(graph, recipe, threads=threads, provider=choice)
    except CannotRun as reason:
        raise ModelError(f"{facts.name} cannot be run: {reason}") from None


def _graph(facts: EncoderFacts) -> Path:
    if facts.graph is None:
        raise ModelError(f"{facts.folder} has no ONNX graph")
    return facts.graph


def _context_length(facts: EncoderFacts, settings: Settings) -> int:
    asked = settings.max_input_tokens
    if asked > facts.max_context_length:
        raise ModelError(f"{facts.name} reads at most {facts.max_context_length} tokens, not {asked}")
    return asked or facts.context_length


def _dense(facts: DenseFacts) -> DenseLayer:
    if facts.activation not in ACTIVATIONS:
        raise ModelError(f"{facts.weights.parent}: the activation {facts.activation} is not known here")
    tensors = Tensors(facts.weights)
    bias = tensors.read("linear.bias") if facts.has_bias else None
    return DenseLayer(tensors.read("linear.weight"), bias, facts.activation)
