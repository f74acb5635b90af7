"""Loading chat models: from a model's folder to a model that answers."""

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from obeaver.api.contract.limits import RequestLimits
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.model_host import MemoryRoom, OnStage
from obeaver.app.chat_engine import make_engine, unheard
from obeaver.app.memory import available_bytes, give_back, machine_bytes, needed_bytes, require_memory
from obeaver.config import Settings
from obeaver.engine.decoding.timeline import UNMEASURED, Meter
from obeaver.engine.decoding.worker import EngineWorker
from obeaver.engine.grammar.grammar import GrammarCompiler, GrammarError
from obeaver.engine.grammar.vocabulary import GrammarVocabulary
from obeaver.engine.sessions.providers import AUTO, available_providers, choose_provider, described
from obeaver.engine.tracing import UNTRACED, Tracer
from obeaver.errors import BadRequest, ProviderError
from obeaver.models.facts import ModelFacts, read_facts, with_template
from obeaver.models.store import Store, StoredModel
from obeaver.models.summary import ModelSummary
from obeaver.text.chat_template import ChatTemplate
from obeaver.text.tokenizer import Tokenizer

logger = logging.getLogger("obeaver")


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


async def load_model(
    stored: StoredModel,
    settings: Settings,
    *,
    on_stage: OnStage = unheard,
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
    return _TextSide(facts, tokenizer, _template(facts, tokenizer), _grammar_compiler(facts, tokenizer))


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


def grammar_vocabulary(tokenizer: Tokenizer) -> GrammarVocabulary:
    """A tokenizer, as grammars see it."""
    return GrammarVocabulary(tokenizer.spellings, tokenizer.marker_ids, tokenizer.encode)


def _grammar_compiler(facts: ModelFacts, tokenizer: Tokenizer) -> GrammarCompiler | None:
    try:
        return GrammarCompiler(grammar_vocabulary(tokenizer), facts.vocab_size, facts.eos_ids)
    except GrammarError as error:
        logger.warning("%s cannot be held to schemas and grammars: %s", facts.name, error)
        return None
