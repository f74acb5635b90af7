"""The chat server: from settings and a model's folder to an application."""

import asyncio
import contextlib
import dataclasses
import gc
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from obeaver.api.contract.limits import RequestLimits
from obeaver.api.metrics.engines import DecoderMetrics
from obeaver.api.metrics.server import ServerMetrics
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.model_host import MemoryRoom, ModelHost, OnStage
from obeaver.api.models.pulls import Pulls
from obeaver.api.models.state import ApiState
from obeaver.api.routes import routes
from obeaver.app.application import MB, Application
from obeaver.app.archiving import make_archive
from obeaver.app.given_template import given_templates
from obeaver.app.memory import (
    available_bytes,
    give_back,
    keep_together,
    kv_budget_bytes,
    machine_bytes,
    needed_bytes,
    require_memory,
    settle,
)
from obeaver.app.pulling import pull_command
from obeaver.app.trace_file import TraceFile
from obeaver.config import Settings
from obeaver.engine.decoding.chooser import Constraint
from obeaver.engine.decoding.core import EngineCore, EngineSettings
from obeaver.engine.decoding.timeline import UNMEASURED, Meter
from obeaver.engine.decoding.worker import EngineWorker
from obeaver.engine.grammar.grammar import GrammarCompiler, GrammarError
from obeaver.engine.runners.runner import KvShape, Runner
from obeaver.engine.sampling.sampler import Sampler
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.engine.sessions.providers import AUTO, ProviderChoice, available_providers, choose_provider, described
from obeaver.engine.tracing import UNTRACED, Tracer
from obeaver.errors import BadRequest, EngineFailed, ModelError, ProviderError
from obeaver.models.facts import ModelFacts, read_facts, with_template
from obeaver.models.library import ChatLibrary
from obeaver.models.store import Store, StoredModel
from obeaver.models.summary import ModelSummary
from obeaver.monitor.monitor import Monitor
from obeaver.text.chat_template import ChatTemplate
from obeaver.text.tokenizer import Tokenizer
from obeaver.web.access import DEFAULT_OPEN_PATHS
from obeaver.web.background import BackgroundWork
from obeaver.web.in_flight import InFlight
from obeaver.web.router import Route

logger = logging.getLogger("obeaver")

_WARM_UP_TOKENS = 8

MAX_DEFAULT_PREFIX_CACHE_BYTES = 512 * MB
"""More is taken only when it is asked for: a laptop has other uses for its memory."""


def chat_application(
    settings: Settings,
    *models: StoredModel,
    make_routes: Callable[[ApiState], Sequence[Route]] = routes,
    open_paths: Iterable[str] = DEFAULT_OPEN_PATHS,
) -> Application:
    """`obeaver serve`: the chat API over some models.

    Args:
        settings: What the server was told.
        models: Those to load at the start; the first one answers requests that name none of them.
        make_routes: What it answers.
        open_paths: What of that needs no API key.
    """
    keep_together()
    store = Store(settings.home)
    in_flight = InFlight()
    metrics = ServerMetrics()
    trace = TraceFile(Path(settings.trace).expanduser()) if settings.trace else None
    loader = ChatLoader(
        settings,
        store,
        DecoderMetrics(metrics.registry).of,
        trace or UNTRACED,
        templates=given_templates(settings, models),
    )
    host = ModelHost(
        loader,
        keep_alive_s=settings.keep_alive_s,
        strict=settings.strict_model,
        restart=settings.restart_engine,
    )
    state = ApiState(
        models=host,
        library=ChatLibrary(store, known=models),
        monitor=Monitor(),
        metrics=metrics,
        pulls=Pulls(pull_command(settings)),
        archive=make_archive(settings),
        background=BackgroundWork(in_flight),
        stream_keep_alive_s=settings.stream_keep_alive_s,
    )

    @contextlib.asynccontextmanager
    async def life() -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if trace is not None:
                stack.callback(trace.close)
            stack.callback(state.close)
            if state.archive is not None:
                stack.push_async_callback(state.archive.close)
            stack.push_async_callback(host.close)
            stack.push_async_callback(state.background.close)
            stack.push_async_callback(state.pulls.close)
            for stored in models:
                await host.hold(stored)
            settle()
            stack.callback(gc.unfreeze)
            yield

    def on_drain() -> None:
        host.drain()
        state.pulls.cancel()

    return Application(
        settings,
        make_routes(state),
        life,
        on_drain=on_drain,
        open_paths=open_paths,
        log=state.request_log,
        in_flight=in_flight,
        metrics=metrics,
        models=[stored.name for stored in models],
    )


class EngineWatch(NamedTuple):
    """Who hears what an engine does."""

    meter: Meter = UNMEASURED
    trace: Tracer = UNTRACED


UNWATCHED = EngineWatch()


class ChatLoader:
    """Loads stored chat models.

    Args:
        settings: What the server was told.
        store: Where it shows which of its models are in use.
        meter_of: Makes the meter of a model, by its name.
        trace: Records what engines do.
        templates: Chat templates in place of models' own, by the model's name.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        meter_of: Callable[[str], Meter],
        trace: Tracer = UNTRACED,
        templates: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._meter_of = meter_of
        self._trace = trace
        self._store = store
        self._templates = templates or {}
        self._promised_bytes: list[int] = []

    def check_device(self, device: str) -> None:
        """See that models can be loaded on this device: `auto`, or what `--provider` takes.

        Raises:
            BadRequest: They cannot; lists the devices that there are.
        """
        try:
            choose_provider(device)
        except ProviderError:
            here = described(available_providers())
            message = f"`device` must be auto or an execution provider that is here: {here}."
            raise BadRequest(message, param="device", code="unknown_value") from None

    def needed_bytes(self, model: ModelSummary) -> int:
        """Memory that loading a model takes."""
        return needed_bytes(model, self._settings)

    def memory(self) -> MemoryRoom:
        """What there is of it for models: `load` refuses those that need more than what is free."""
        return MemoryRoom(available_bytes() - sum(self._promised_bytes), machine_bytes())

    async def load(self, stored: StoredModel, device: str, on_stage: OnStage) -> LoadedModel:
        """Load a model, start its engine and try it.

        Args:
            stored: The model.
            device: As for `check_device`; `auto` is what the settings say.
            on_stage: Hears what is being done, from any thread.

        Raises:
            NotEnoughMemory: It does not fit beside what is loaded and what is being loaded.
            ModelError: The folder is broken, its tokenizer is of a kind not known here, or no runner takes it.
            ProviderError: The device takes nothing of the model.
        """
        settings = self._settings
        if device != AUTO:
            settings = dataclasses.replace(settings, provider=device)
        on_stage("read the folder")
        facts = await asyncio.to_thread(read_facts, stored.folder)
        needed = needed_bytes(facts, settings)
        require_memory(needed, self.memory().free_bytes)
        self._promised_bytes.append(needed)
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(give_back)
                stack.enter_context(self._store.use(stored))
                watch = EngineWatch(self._meter_of(stored.name), self._trace)
                template = self._templates.get(stored.name)
                model = await load_model(stored, settings, on_stage=on_stage, watch=watch, template=template)
                return dataclasses.replace(model, on_released=stack.pop_all().close)
        finally:
            self._promised_bytes.remove(needed)


def _unheard(_stage: str) -> None:
    """Default of `on_stage`."""


async def load_model(
    stored: StoredModel,
    settings: Settings,
    *,
    on_stage: OnStage = _unheard,
    watch: EngineWatch = UNWATCHED,
    template: str | None = None,
) -> LoadedModel:
    """Load a model and start its engine. The event loop stays free.

    Args:
        stored: The model.
        settings: Threads, memory, runner.
        on_stage: Hears what is being done, from any thread.
        watch: Hears what the engine does.
        template: A chat template in place of the model's own.

    Raises:
        ModelError: The folder is broken, its tokenizer is of a kind not known here, or no runner takes it.
    """
    on_stage("read the tokenizer")
    text = await asyncio.to_thread(_read_text_side, stored, template)
    reasons: list[str] = []
    worker = EngineWorker(
        lambda: make_engine(text.facts, settings, reasons, text.grammars, on_stage, watch.trace),
        max_queue=settings.max_queue,
        max_queue_tokens=settings.max_queue_tokens,
        name=f"engine {stored.name}",
        meter=watch.meter,
    )
    try:
        await worker.start()
    except asyncio.CancelledError:
        await worker.close()  # a thread that is still in native code when the process ends would crash it
        raise
    return LoadedModel(
        name=stored.name,
        facts=dataclasses.replace(text.facts, name=stored.name),
        tokenizer=text.tokenizer,
        chat_template=text.template,
        worker=worker,
        loaded_at=time.time(),
        engine_reason="; ".join(reasons),
        grammars=text.grammars,
        limits=request_limits(settings),
    )


def request_limits(settings: Settings) -> RequestLimits:
    """What one request may ask for."""
    return RequestLimits(
        messages=settings.max_messages,
        tools=settings.max_tools,
        schema_values=settings.max_schema_values,
        schema_kb=settings.max_schema_kb,
        stop_chars=settings.max_stop_chars,
        choices=settings.max_choices,
        logprobs=settings.max_logprobs,
        unsent_kb=settings.max_unsent_kb,
    )


class _TextSide(NamedTuple):
    """What of a model is not its engine."""

    facts: ModelFacts
    tokenizer: Tokenizer
    template: ChatTemplate | None
    grammars: GrammarCompiler | None


def _read_text_side(stored: StoredModel, given: str | None) -> _TextSide:
    facts = read_facts(stored.folder)
    if given is not None:
        facts = with_template(facts, given)
    tokenizer = Tokenizer.from_folder(facts.folder)
    # A tokenizer that cannot decode fails here, and not in every request.
    tokenizer.decoder()
    return _TextSide(facts, tokenizer, _template(facts, tokenizer), _grammar_compiler(facts))


def _template(facts: ModelFacts, tokenizer: Tokenizer) -> ChatTemplate | None:
    if facts.chat_template is None:
        logger.info("%s has no chat template: it goes on with texts, and answers no conversations", facts.name)
        return None
    return ChatTemplate(
        facts.chat_template,
        special_tokens=facts.special_tokens,
        control_tokens=tokenizer.control_tokens,
        tool_dialect=facts.tool_dialect,
    )


def _grammar_compiler(facts: ModelFacts) -> GrammarCompiler | None:
    try:
        return GrammarCompiler(facts.folder / "tokenizer.json", facts.vocab_size, facts.eos_ids)
    except GrammarError as error:
        logger.warning("%s cannot be held to schemas and grammars: %s", facts.name, error)
        return None


def make_engine(
    facts: ModelFacts,
    settings: Settings,
    reasons: list[str],
    grammars: GrammarCompiler | None = None,
    on_stage: OnStage = _unheard,
    trace: Tracer = UNTRACED,
) -> EngineCore:
    """Load the weights, try them, and build the engine round them. Takes seconds: for the engine's own thread.

    Args:
        facts: Of the model.
        settings: Threads, memory, runner.
        reasons: Gets what speaks for the runner that was chosen, or against those that were passed over.
        grammars: Compiles the grammars of sequences that have one.
        on_stage: Hears what is being done.
        trace: Records what the engine does.

    Raises:
        ModelError: No runner takes the model, or it computes nothing.
    """

    def make_constraint(params: SamplingParams) -> Constraint | None:
        return grammars.compile(params.grammar) if grammars and params.grammar else None

    on_stage("load the weights")
    runner = open_runner(facts, settings, reasons)
    on_stage("warm up")
    warm_up(runner, facts.name)
    budget_bytes = kv_budget_bytes(settings)
    prefix_bytes = settings.prefix_cache_mb * MB
    if settings.prefix_cache_mb < 0:
        prefix_bytes = min(budget_bytes // 4, MAX_DEFAULT_PREFIX_CACHE_BYTES)
    limits = EngineSettings(
        kv_budget_bytes=budget_bytes,
        prefix_cache_bytes=min(prefix_bytes, budget_bytes),
        max_rows=settings.max_rows,
        lookahead=settings.lookahead,
    )
    return EngineCore(runner, limits, make_sampler=Sampler, make_constraint=make_constraint, trace=trace)


def warm_up(runner: Runner, name: str) -> None:
    """Compute a few tokens, so that a model that cannot is found out now, and the first request waits for no set-up.

    Raises:
        ModelError: It computes no numbers.
    """
    num_tokens = min(_WARM_UP_TOKENS, runner.info.context_length - 1)
    try:
        runner.resize(KvShape(1, num_tokens + 1))
        runner.prefill(0, [0] * num_tokens, 0, True)
        logits = runner.decode([0], [num_tokens])
        runner.release_row(0)
    except EngineFailed as error:
        raise ModelError(f"{name} cannot be run: {error}") from error
    if math.isnan(float(logits.sum())):
        raise ModelError(f"{name} cannot be run: it computes no numbers, so its weights must be damaged")


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
    from obeaver.engine.runners.genai_runner import open_genai_runner

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
    from obeaver.engine.runners.ort_runner import open_ort_runner

    return open_ort_runner(
        facts.decoder_graph,
        context_length=facts.context_length,
        head_size=facts.head_size,
        threads=threads,
        provider=provider,
    )
