"""The needs that a chat template may have, and the values that they are found and met with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from obeaver.text.needs.retelling import Messages
from obeaver.text.tool_calls.dialect import CallFormat
from obeaver.text.tool_spec import ToolChoice


class Need(Enum):
    """What has to be done for a template, in words."""

    TOOLS_IN_WORDS = "functions are described in the system message"
    CALLS_IN_WORDS = "calls are the assistant's text"
    RESULTS_IN_WORDS = "results are the user's text"
    WHOLE_TOOLS = "functions have a description and parameters, empty ones if need be"
    ONE_CALL = "one call a turn"
    WORDS_APART = "words beside calls are a message of their own"
    WORDS_AS_THOUGHT = "words beside reasoning and calls join the reasoning"
    SHORT_CALL_IDS = "call ids are nine letters and digits"
    TELLING_CALL_IDS = "call ids name the function"
    RESULTS_IN_CALL = "results are `tool_responses` of the message that calls"
    ARGUMENT_OBJECTS = "arguments that are no object stand within one"
    ARGUMENT_TEXT = "arguments are JSON text"
    REASONING = "reasoning is called `reasoning`"
    THINKING = "reasoning is called `thinking`"
    THINKING_PART = "reasoning is a part of the content"
    ONE_SYSTEM = "several system messages are one"
    NO_SYSTEM = "the system message joins the user's first"
    NO_SYSTEM_IN_LOOP = "the system message joins the user's last while results come in"
    NO_LATER_SYSTEM = "later system messages are the user's"
    SOME_USER = "a system message alone is the user's"
    ANSWERED_RESULTS = "an empty answer stands between results and the user"
    TURNS = "user and assistant take turns"
    EMPTY_TOOLS = "no functions are an empty list"
    PARTS = "content is a list of parts"


@dataclass(frozen=True, slots=True)
class Telling:
    """A conversation on its way to a template.

    Attributes:
        messages: As `retelling` knows them.
        tools: Definitions of the functions on offer.
        no_tools: What the template gets where there are none.
        choice: Whether the model may or must call them.
        parallel: Whether it may call several at once.
    """

    messages: Messages
    tools: Sequence[Mapping[str, Any]] = ()
    choice: ToolChoice = field(default_factory=ToolChoice)
    parallel: bool = True
    no_tools: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True)
class Wording:
    """How functions are told in words.

    Attributes:
        call_format: How calls are written.
        results: Results are told in words too.
    """

    call_format: CallFormat
    results: bool = True


Retell: TypeAlias = Callable[[Telling, Wording], Telling]


@dataclass(frozen=True, slots=True)
class Probe:
    """A conversation to try a template on.

    Attributes:
        telling: The conversation.
        words: What its prompt has to hold.
        unwanted: What its prompt must not hold.
    """

    telling: Telling
    words: tuple[str, ...]
    unwanted: tuple[str, ...] = ()
