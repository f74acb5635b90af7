"""A conversation, and what is wanted of its answer: the one form that every dialect's parser makes, and all else reads.

Values are checked and immutable: a request is parsed once. What can still turn out to be wrong when it meets a model
carries where it stood in the request (`at`), in the words of the dialect that it came in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from obeaver.api.core.answer_form import AnswerForm
from obeaver.api.core.tools import Tools


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text of a message."""

    text: str


Part: TypeAlias = TextPart
"""What a message consists of."""


@dataclass(frozen=True, slots=True)
class SystemMessage:
    """What the model is told about its task."""

    parts: tuple[Part, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What a person says."""

    parts: tuple[Part, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call that an assistant made.

    Attributes:
        id: What its result names.
        name: The function.
        arguments: JSON text, or what a model wrote instead.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What a model said, thought and called."""

    parts: tuple[Part, ...] = ()
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call gave.

    Attributes:
        call_id: Of the call.
        parts: What it gave.
        name: The function, where a client says it; else the call tells.
    """

    call_id: str
    parts: tuple[Part, ...]
    name: str | None = None


Message: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolResult


def text_parts(*texts: str) -> tuple[Part, ...]:
    """A part of each of these texts."""
    return tuple(map(TextPart, texts))


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How much to think before the answer.

    Attributes:
        effort: One of OpenAI's words, from `none` to `xhigh`; None leaves it to the model.
        enabled: Whether to think at all; None leaves it to `effort` and the model.
    """

    effort: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What was said, and what the next answer may be.

    Attributes:
        messages: What was said, at least one message.
        tools: What the model may call.
        form: What the answer must hold to; None for free text.
        reasoning: How much to think.
        template_variables: Further variables for the chat template; they win over what `reasoning` says.
        at: Where the messages stood in the request.
    """

    messages: tuple[Message, ...]
    tools: Tools = field(default_factory=Tools)
    form: AnswerForm | None = None
    reasoning: Reasoning = field(default_factory=Reasoning)
    template_variables: Mapping[str, Any] = field(default_factory=dict)
    at: str = "messages"

    @property
    def takes_compiling(self) -> bool:
        """Whether the answer needs a grammar, which takes from one millisecond to some hundred to compile."""
        return self.form is not None or bool(self.tools.offered)
