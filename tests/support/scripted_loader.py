"""Loads models whose answers the test writes, as slowly and as badly as the test wants."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support.scripted_model import HELLO, TEMPLATE, Reply, ScriptedRunner, start_worker, write_model_folder

from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.model_host import MemoryRoom, OnStage
from obeaver.engine.decoding.timeline import UNMEASURED, Meter
from obeaver.engine.grammar.grammar import GrammarCompiler
from obeaver.engine.sessions.placement import Placement
from obeaver.errors import BadRequest
from obeaver.models.facts import read_facts
from obeaver.models.store import Store, StoredModel
from obeaver.models.summary import ModelSummary
from obeaver.text.chat_template import ChatTemplate
from obeaver.text.tokenizer import Tokenizer

GIB = 1024**3
LOADED_AT = 1_700_000_000.5


@dataclass(kw_only=True)
class Script:
    """How a model behaves.

    Attributes:
        reply: What it answers.
        fails: As in `ScriptedRunner`.
        gives_all_logits: As in `ScriptedRunner`.
        step_s: As in `ScriptedRunner`.
        placement: As in `ScriptedRunner`.
        template: Its chat template.
        grammars: Compiles grammars for it.
        options: Of its worker.
        gate: A load waits until it is open.
        load_error: What a load raises, behind the gate.
        num_loads: Loads that were begun.
        runners: Those of all loads that succeeded.
    """

    reply: Reply = HELLO
    fails: Callable[[int], bool] = lambda num_runs: False
    gives_all_logits: bool = True
    step_s: float = 0.0
    placement: Placement | None = None
    template: str = TEMPLATE
    grammars: GrammarCompiler | None = None
    options: dict[str, int] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=lambda: _open())
    load_error: Exception | None = None
    num_loads: int = 0
    runners: list[ScriptedRunner] = field(default_factory=list)


def _open() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


class ScriptedLoader:
    """A `ModelLoader`.

    Args:
        scripts: Each model's, by its name.
        meter_of: Makes the meter of a model, by its name.

    Attributes:
        released: Names of models whose memory was given back, in that order.
        most_in_memory: Models that were in memory at once, the one that was being loaded among them.
        free_bytes: What it says of the machine, which has 4 GiB.
    """

    def __init__(self, scripts: dict[str, Script], meter_of: Callable[[str], Meter] = lambda name: UNMEASURED) -> None:
        self.scripts = scripts
        self._meter_of = meter_of
        self.released: list[str] = []
        self.most_in_memory = 0
        self.free_bytes = GIB

    def check_device(self, device: str) -> None:
        if device not in ("auto", "cpu"):
            raise BadRequest("`device` must be auto or cpu.", param="device", code="unknown_value")

    def needed_bytes(self, model: ModelSummary) -> int:
        return model.context_length * 1024

    def memory(self) -> MemoryRoom:
        return MemoryRoom(self.free_bytes, 4 * GIB)

    async def load(self, stored: StoredModel, device: str, on_stage: OnStage) -> LoadedModel:
        script = self.scripts[stored.name]
        script.num_loads += 1
        num_in_memory = sum(len(script.runners) for script in self.scripts.values()) - len(self.released) + 1
        self.most_in_memory = max(self.most_in_memory, num_in_memory)
        on_stage("wait for the gate")
        await script.gate.wait()
        if script.load_error is not None:
            raise script.load_error
        facts = read_facts(stored.folder)
        tokenizer = Tokenizer.from_folder(stored.folder)
        runner = ScriptedRunner(
            script.reply,
            fails=script.fails,
            gives_all_logits=script.gives_all_logits,
            step_s=script.step_s,
            placement=script.placement,
        )
        worker = await start_worker(
            runner, grammars=script.grammars, meter=self._meter_of(stored.name), **script.options
        )
        script.runners.append(runner)
        return LoadedModel(
            name=stored.name,
            facts=facts,
            tokenizer=tokenizer,
            chat_template=ChatTemplate(
                script.template,
                special_tokens=facts.special_tokens,
                control_tokens=tokenizer.control_tokens,
                tool_dialect=facts.tool_dialect,
            ),
            worker=worker,
            loaded_at=LOADED_AT,
            engine_reason="the test wants it",
            grammars=script.grammars,
            on_released=lambda: self.released.append(stored.name),
        )


def store_model(store: Store, name: str) -> StoredModel:
    """Put everything about a model but its weights into a store."""
    with store.staging(name) as folder:
        write_model_folder(folder)
    stored = store.find(name)
    assert stored is not None
    return stored


def folder_model(name: str, folder: Path) -> StoredModel:
    """A model outside of the store."""
    return StoredModel(name, folder, recipe=None, size_bytes=0, created=0)
