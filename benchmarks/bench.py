"""What the questions share: the options, the models, the servers, and engines in processes of their own."""

import contextlib
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.conductor import ContenderFailed, Measure, Question
from benchmarks.contenders.child import Child, child
from benchmarks.contenders.fleet import LONE, LONG, Fleet
from benchmarks.contenders.servers import Server
from benchmarks.options import Options
from benchmarks.results.document import Metric
from benchmarks.time_limit import TimeLimit

Ask = Callable[[Server], Coroutine[Any, Any, Mapping[str, float]]]
"""Asks one server; metric to value."""


@dataclass(slots=True)
class Bench:
    """See the module.

    Attributes:
        options: What is asked for.
        folder: Of the chat model.
        source: The GGUF file that it was imported from, if it is still there.
        fleet: The chat servers.
        stack: Closes what questions open.
        limit: What servers have not answered by then is cut off.
    """

    options: Options
    folder: Path
    source: Path | None
    fleet: Fleet
    stack: contextlib.ExitStack
    limit: TimeLimit
    _children: dict[str, Child] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)

    @property
    def providers(self) -> list[str]:
        """The execution providers that take part."""
        return list(dict.fromkeys(each.facts["provider"] for each in self.fleet.contenders.values() if each.is_ours))

    @property
    def ours(self) -> str:
        """The contender that others are compared with."""
        return self.fleet.names[0]

    @property
    def lone(self) -> list[str]:
        """Who is asked about a stream that runs alone: what it takes depends on whether anything is computed ahead."""
        return [*self.fleet.names, *self.fleet.variants(LONE)]

    @property
    def roomy(self) -> list[str]:
        """Who is asked about prompts that are longer than what a peer has for each of many streams."""
        ours = [name for name in self.fleet.names if self.fleet.contenders[name].is_ours]
        return [*ours, *self.fleet.variants(LONG)]

    def ask(
        self,
        question_id: str,
        group: str,
        metrics: Sequence[Metric],
        ask: Ask,
        *,
        contenders: Iterable[str] | None = None,
    ) -> Question:
        """A question to every chat server, or to some of them."""

        def asked(name: str) -> Measure:
            return lambda: self.limit.run(ask(self.fleet.server(name)))

        names = list(self.fleet.names if contenders is None else contenders)
        return Question(
            question_id,
            group,
            metrics,
            {name: asked(name) for name in names},
            self.ours,
            warm_up=not self.options.quick,
        )

    def child(self, name: str, make: Callable[..., object], *arguments: Any) -> Child:
        """An object in a process of its own, made at the first call of a name.

        Raises:
            ContenderFailed: It cannot be made, now or before.
        """
        if name in self._failed:
            raise ContenderFailed(self._failed[name])
        if name not in self._children:
            try:
                self._children[name] = self.stack.enter_context(child(make, *arguments))
            except ContenderFailed as error:
                self._failed[name] = str(error)
                raise
        return self._children[name]
