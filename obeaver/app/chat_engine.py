"""The engine of a chat model: the runner that takes the model, tried once, and the core round it."""

import logging
import math

from obeaver.api.models.model_host import OnStage
from obeaver.app.int4_computing import graph_to_compute
from obeaver.app.memory import MB, kv_budget_bytes
from obeaver.app.prefix_folder import open_prefix_disk
from obeaver.config import Settings
from obeaver.engine.decoding.chooser import Constraint
from obeaver.engine.decoding.core import EngineCore, EngineSettings
from obeaver.engine.grammar.grammar import GrammarCompiler
from obeaver.engine.runners.runner import KvShape, Runner
from obeaver.engine.sampling.sampler import Sampler
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.engine.sessions.providers import AUTO, ProviderChoice, choose_provider
from obeaver.engine.tracing import UNTRACED, Tracer
from obeaver.errors import EngineFailed, ModelError
from obeaver.models.facts import ModelFacts

logger = logging.getLogger("obeaver")

_WARM_UP_TOKENS = 8

MAX_DEFAULT_PREFIX_CACHE_BYTES = 512 * MB
"""More is taken only when it is asked for: a laptop has other uses for its memory."""


def unheard(_stage: str) -> None:
    """Default of `on_stage`."""


def make_engine(
    facts: ModelFacts,
    settings: Settings,
    reasons: list[str],
    grammars: GrammarCompiler | None = None,
    on_stage: OnStage = unheard,
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
    limits = _engine_settings(settings)
    disk = open_prefix_disk(settings, facts.folder, runner.info, limits.prefix_cache_bytes)
    return EngineCore(runner, limits, make_sampler=Sampler, make_constraint=make_constraint, trace=trace, disk=disk)


def _engine_settings(settings: Settings) -> EngineSettings:
    budget_bytes = kv_budget_bytes(settings)
    prefix_bytes = settings.prefix_cache_mb * MB
    if settings.prefix_cache_mb < 0:
        prefix_bytes = min(budget_bytes // 4, MAX_DEFAULT_PREFIX_CACHE_BYTES)
    return EngineSettings(
        kv_budget_bytes=budget_bytes,
        prefix_cache_bytes=min(prefix_bytes, budget_bytes),
        max_rows=settings.max_rows,
        lookahead=settings.lookahead,
    )


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
            runner = _open_ort(facts, settings, provider, reasons)
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


def _open_ort(facts: ModelFacts, settings: Settings, provider: ProviderChoice, reasons: list[str]) -> Runner:
    if facts.decoder_graph is None:
        raise CannotRun("the model is more than one decoder graph")
    from obeaver.engine.runners.ort_runner import open_ort_runner

    with graph_to_compute(facts.decoder_graph, facts, settings, provider, reasons) as graph:
        return open_ort_runner(
            graph,
            context_length=facts.context_length,
            head_size=facts.head_size,
            threads=settings.threads or None,
            provider=provider,
        )
