"""A model that is in memory, with all that answering needs of it."""

from collections.abc import Callable
from dataclasses import dataclass

from obeaver.api.contract.limits import DEFAULT_LIMITS, RequestLimits
from obeaver.engine.decoding.worker import EngineWorker
from obeaver.engine.grammar.grammar import GrammarCompiler
from obeaver.errors import NoChatTemplate
from obeaver.models.facts import ModelFacts
from obeaver.text.chat_template import ChatTemplate
from obeaver.text.tokenizer import Tokenizer


def _nothing() -> None:
    """Default of `on_released`."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that answers.

    Attributes:
        name: What `/v1/models` calls it.
        facts: What its folder says.
        tokenizer: Its tokenizer.
        chat_template: Its chat template; None for a model that goes on with texts alone.
        worker: Its engine, started.
        loaded_at: Seconds since 1970.
        engine_reason: Why this runner runs it, for people.
        grammars: Compiles what its answers must hold to, for its tokenizer; the worker's engine has the same one. None
            where its answers cannot be held to anything.
        limits: What one request may ask of it.
        on_released: Called in a thread when its worker is closed and this object is gone.
    """

    name: str
    facts: ModelFacts
    tokenizer: Tokenizer
    chat_template: ChatTemplate | None
    worker: EngineWorker
    loaded_at: float
    engine_reason: str = ""
    grammars: GrammarCompiler | None = None
    limits: RequestLimits = DEFAULT_LIMITS
    on_released: Callable[[], None] = _nothing

    @property
    def template(self) -> ChatTemplate:
        """Its chat template.

        Raises:
            NoChatTemplate: It has none.
        """
        if self.chat_template is None:
            raise NoChatTemplate(
                f"{self.name} has no chat template, so it answers no conversations: let it go on with a text "
                "(POST /v1/completions), or start the server with --chat-template FILE."
            )
        return self.chat_template

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together."""
        return self.facts.context_length
