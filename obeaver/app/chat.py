"""The chat server: from settings and a model's folder to an application."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import AsyncIterator

import psutil

from obeaver.api.routes import routes
from obeaver.api.state import ApiState, LoadedModel, ModelHost
from obeaver.app.application import MB, Application
from obeaver.config import Settings
from obeaver.engine.chooser import Constraint
from obeaver.engine.core import EngineCore, EngineSettings
from obeaver.engine.grammar import GrammarCompiler, GrammarError
from obeaver.engine.providers import AUTO, ProviderChoice, choose_provider
from obeaver.engine.runner import CannotRun, Runner
from obeaver.engine.sampler import Sampler
from obeaver.engine.sequence import SamplingParams
from obeaver.engine.worker import EngineWorker
from obeaver.errors import ModelError
from obeaver.models.facts import ModelFacts, read_facts
from obeaver.models.store import StoredModel
from obeaver.monitor import Monitor
from obeaver.text.chat_template import ChatTemplate
from obeaver.text.tokenizer import Tokenizer

logger = logging.getLogger("obeaver")

MAX_DEFAULT_PREFIX_CACHE_BYTES = 512 * MB
"""More is taken only when it is asked for: a laptop has other uses for its memory."""


def chat_application(settings: Settings, stored: StoredModel) -> Application:
    """`obeaver serve`: the chat API over one model.

    Args:
        settings: What the server was told.
        stored: The model to serve.
    """
    models = ModelHost(loading=True)
    state = ApiState(models=models, monitor=Monitor(), keep_alive_s=settings.keep_alive_s)

    @contextlib.asynccontextmanager
    async def life() -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(state.close)
            model = await load_model(stored, settings)
            stack.push_async_callback(model.worker.close)
            models.model, models.loading = model, False
            logger.info("%s runs on %s", model.name, model.worker.snapshot().label)
            yield

    def on_drain() -> None:
        models.draining = True

    return Application(settings, routes(state), life, on_drain=on_drain)


async def load_model(stored: StoredModel, settings: Settings) -> LoadedModel:
    """Load a model and start its engine.

    Raises:
        ModelError: The folder is broken, its tokenizer is of a kind not known here, or no runner takes it.
    """
    facts = read_facts(stored.folder)
    if facts.chat_template is None:
        raise ModelError(f"{stored.name} has no chat template, so it cannot answer chat requests")
    tokenizer = Tokenizer.from_folder(facts.folder)
    # A tokenizer that cannot decode fails here, and not in every request.
    tokenizer.decoder()
    template = ChatTemplate(
        facts.chat_template, special_tokens=facts.special_tokens, control_tokens=tokenizer.control_tokens
    )
    grammars = _grammar_compiler(facts)
    reasons: list[str] = []
    worker = EngineWorker(
        lambda: make_engine(facts, settings, reasons, grammars),
        max_queue=settings.max_queue,
        name=f"engine {stored.name}",
    )
    await worker.start()
    return LoadedModel(
        name=stored.name,
        facts=dataclasses.replace(facts, name=stored.name),
        tokenizer=tokenizer,
        template=template,
        worker=worker,
        loaded_at=time.time(),
        engine_reason="; ".join(reasons),
        grammars=grammars,
    )


def _grammar_compiler(facts: ModelFacts) -> GrammarCompiler | None:
    try:
        return GrammarCompiler(facts.folder / "tokenizer.json", facts.vocab_size, facts.eos_ids)
    except GrammarError as error:
        logger.warning("%s cannot be held to schemas and grammars: %s", facts.name, error)
        return None


def make_engine(
    facts: ModelFacts, settings: Settings, reasons: list[str], grammars: GrammarCompiler | None = None
) -> EngineCore:
    """Load the weights and build the engine round them. Takes seconds: for the engine's own thread.

    Args:
        facts: Of the model.
        settings: Threads, memory, runner.
        reasons: Gets what speaks for the runner that was chosen, or against those that were passed over.
        grammars: Compiles the grammars of sequences that have one.

    Raises:
        ModelError: No runner takes the model.
    """

    def make_constraint(params: SamplingParams) -> Constraint | None:
        return grammars.compile(params.grammar) if grammars and params.grammar else None

    runner = open_runner(facts, settings, reasons)
    budget_bytes = settings.kv_cache_mb * MB or psutil.virtual_memory().available // 4
    prefix_bytes = settings.prefix_cache_mb * MB
    if settings.prefix_cache_mb < 0:
        prefix_bytes = min(budget_bytes // 4, MAX_DEFAULT_PREFIX_CACHE_BYTES)
    limits = EngineSettings(
        kv_budget_bytes=budget_bytes, prefix_cache_bytes=min(prefix_bytes, budget_bytes), max_rows=settings.max_rows
    )
    return EngineCore(runner, limits, make_sampler=Sampler, make_constraint=make_constraint)


def open_runner(facts: ModelFacts, settings: Settings, reasons: list[str]) -> Runner:
    """The fastest runner that takes the model.

    Args:
        facts: Of the model.
        settings: Which runner and which provider are wanted, and the threads.
        reasons: Gets what speaks for the runner that was chosen, or against those that were passed over.

    Raises:
        ModelError: None takes it.
        ProviderError: The provider is not here, or takes nothing of the model.
    """
    provider = choose_provider(settings.provider, made_for=facts.provider)
    runner = _open_runner(facts, settings, provider, reasons)
    if settings.provider == AUTO and provider.name != facts.provider:
        reasons.append(f"made for {facts.provider}, which is not here, so {provider.name} computes")
        logger.warning("%s was %s", facts.name, reasons[-1])
    return runner


def _open_runner(facts: ModelFacts, settings: Settings, provider: ProviderChoice, reasons: list[str]) -> Runner:
    threads = settings.threads or None
    if settings.runner == "genai":
        reasons.append("run on onnxruntime-genai because --runner says so")
    elif settings.runner == "auto" and not provider.in_host_memory:
        reasons.append(f"run on onnxruntime-genai: it keeps keys and values on the {provider.device.kind}")
    else:
        try:
            runner = _open_ort(facts, threads, provider)
        except CannotRun as reason:
            reasons.append(f"not run straight on onnxruntime: {reason}")
            logger.info("%s is %s", facts.name, reasons[-1])
        else:
            reasons.append("run straight on onnxruntime: sequences of any lengths can share the steps of its graph")
            return runner
    if settings.runner == "ort":
        raise ModelError(f"{facts.name} is {reasons[-1]}; use --runner auto")
    from obeaver.engine.genai_runner import open_genai_runner

    try:
        return open_genai_runner(
            facts.folder,
            context_length=facts.context_length,
            vocab_size=facts.vocab_size,
            threads=threads,
            max_rows=settings.max_rows,
            provider=provider,
            decoder_graph=facts.decoder_graph,
        )
    except CannotRun as reason:
        raise ModelError(f"{facts.name} cannot be run: {reason}") from None


def _open_ort(facts: ModelFacts, threads: int | None, provider: ProviderChoice) -> Runner:
    if facts.decoder_graph is None:
        raise CannotRun("the model is more than one decoder graph")
    from obeaver.engine.ort_runner import open_ort_runner

    return open_ort_runner(
        facts.decoder_graph,
        context_length=facts.context_length,
        head_size=facts.head_size,
        threads=threads,
        provider=provider,
    )
