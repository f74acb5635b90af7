"""A model's chat template: Jinja source from strangers, rendered into a prompt.

Templates get what Hugging Face's loader gives them: `messages`, `tools`, `documents`, `add_generation_prompt`, the
special tokens by name, `raise_exception`, `strftime_now`, a `tojson` that escapes nothing, loop controls. The sandbox
bounds what they can do and cost. What comes from the request never acts as a control token; see `prompt.py`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from jinja2 import TemplateError

from obeaver.errors import ModelError, TemplateFailed
from obeaver.text.chat_template_budget import MAX_WORK, PROBE_WORK, Budget
from obeaver.text.chat_template_sandbox import BUDGET, Sandbox
from obeaver.text.prompt import ControlTokens, Piece, RenderedPrompt

Message = dict[str, Any]

PART_SEPARATOR: Final = "\n"
"""Stands between text parts where a template knows strings only."""

# What a template may raise on a conversation, beside Jinja's own errors: whatever its expressions do to values.
_FAILURES: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
_MAX_REASON: Final = 300
# Strings under these keys are compared by templates and chosen by the API, so their edges stay as they are.
_FIXED_WORDS: Final = frozenset({"role", "type"})


class _Rejected(TemplateError):
    """The template itself has rejected the conversation."""


class ChatTemplate:
    """A compiled chat template. Safe to share between threads.

    Args:
        source: Jinja.
        special_tokens: `bos_token` and the like, as the template may name them.
        control_tokens: All strings that act as control tokens in a prompt: the tokenizer's `control_tokens`.
        now: What time it is, for templates that print the date.
        max_work: What one rendering may cost; see `chat_template_budget.py`.

    Attributes:
        knows_tools: The template reads `tools`.

    Raises:
        ModelError: The source is no valid template, or uses what is not supported.
    """

    def __init__(
        self,
        source: str,
        *,
        special_tokens: Mapping[str, str],
        control_tokens: Iterable[str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC).astimezone(),
        max_work: int = MAX_WORK,
    ) -> None:
        sandbox = Sandbox({"raise_exception": _raise_exception, "strftime_now": lambda form: _strftime(now(), form)})
        try:
            self._template, names = sandbox.load(source)
        except (TemplateError, RecursionError, SyntaxError, ValueError) as error:
            raise ModelError(f"the chat template cannot be used: {_reason(error)}") from error
        self._source = source
        self._max_work = max_work
        self._special_tokens = dict(special_tokens)
        self._control = ControlTokens(control_tokens)
        self.knows_tools = "tools" in names
        self._wants_parts = self._only_shows(_PARTS, instead_of=_STRING)
        self._wants_argument_text = self._only_shows(_ARGUMENT_TEXT, instead_of=_ARGUMENT_OBJECT)

    def render(
        self,
        messages: Sequence[Message],
        /,
        *,
        tools: Sequence[Message] | None = None,
        add_generation_prompt: bool = True,
        **kwargs: Any,
    ) -> RenderedPrompt:
        """Make the prompt.

        Content may be a string, a list of text parts or null, and arguments of tool calls an object or JSON text; the
        template gets the form that it knows.

        Args:
            messages: The conversation.
            tools: Function definitions; ignored by templates that do not know tools.
            add_generation_prompt: End with the beginning of an answer.
            kwargs: More variables for the template; the names above and the special tokens' cannot be overridden.

        Raises:
            TemplateFailed: The template rejects the conversation, fails on it, or takes too much time or memory.
        """
        given = {
            **kwargs,
            "messages": [self._shaped(message) for message in messages],
            "tools": list(tools) if tools else None,
            "add_generation_prompt": add_generation_prompt,
        }
        try:
            mark = _free_mark([self._source, *_strings(given)])
            marked = {name: self._marked(value, mark) for name, value in given.items()}
            text = self._run(marked, Budget(self._max_work))
        except _Rejected as error:
            raise TemplateFailed(f"the model's chat template rejects this conversation: {_reason(error)}") from error
        except TemplateError as error:
            raise TemplateFailed(f"the model's chat template failed: {_reason(error)}") from error
        except _FAILURES as error:  # their text may quote the conversation
            raise TemplateFailed(f"the model's chat template failed with a {type(error).__name__}") from error
        pieces = (Piece(_without(piece.text, mark), piece.is_control) for piece in self._control.split(text))
        return RenderedPrompt(tuple(piece for piece in pieces if piece.text))

    def _run(self, variables: Mapping[str, Any], budget: Budget) -> str:
        return self._template.render({"documents": None, **variables, **self._special_tokens, BUDGET: budget})

    def _marked(self, value: Any, mark: str, key: str | None = None) -> Any:
        """The value with marks in all that could act as a control token."""
        if isinstance(value, str):
            text = value if key in _FIXED_WORDS else self._control.mark_edges(value, mark)
            return self._control.mark(text, mark)
        if isinstance(value, Mapping):
            return {self._marked_key(name, mark): self._marked(item, mark, name) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._marked(item, mark, key) for item in value]
        return value

    def _marked_key(self, key: Any, mark: str) -> Any:
        return self._control.mark(key, mark) if isinstance(key, str) else key

    def _shaped(self, message: Message) -> Message:
        shaped = {**message, "content": self._content(message.get("content"))}
        if message.get("tool_calls"):
            shaped["tool_calls"] = [self._call(call) for call in message["tool_calls"]]
        return shaped

    def _content(self, content: Any) -> Any:
        if self._wants_parts:
            return content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        if isinstance(content, list):
            return PART_SEPARATOR.join(_part_text(part) for part in content)
        return "" if content is None else content

    def _call(self, call: Message) -> Message:
        function = call.get("function")
        if not isinstance(function, Mapping):
            return call
        arguments = _object(function.get("arguments"))
        if self._wants_argument_text and isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        return {**call, "function": {**function, "arguments": arguments}}

    def _only_shows(self, messages: Sequence[Message], *, instead_of: Sequence[Message]) -> bool:
        """Whether the template prints the needle of the first conversation, and not that of the second."""
        return not self._shows(instead_of) and self._shows(messages)

    def _shows(self, messages: Sequence[Message]) -> bool:
        try:
            variables = {"messages": messages, "tools": None, "add_generation_prompt": False}
            return _NEEDLE in self._run(variables, Budget(PROBE_WORK))
        except (TemplateError, *_FAILURES):
            return False


_NEEDLE: Final = "needle"
_STRING: Final[Sequence[Message]] = [{"role": "user", "content": _NEEDLE}]
_PARTS: Final[Sequence[Message]] = [{"role": "user", "content": [{"type": "text", "text": _NEEDLE}]}]


def _called_with(arguments: Any) -> Sequence[Message]:
    call = {"id": "call00001", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return [{"role": "user", "content": "x"}, {"role": "assistant", "content": "", "tool_calls": [call]}]


_ARGUMENT_OBJECT: Final = _called_with({"key": _NEEDLE})
_ARGUMENT_TEXT: Final = _called_with(json.dumps({"key": _NEEDLE}))


def _raise_exception(message: object) -> NoReturn:
    raise _Rejected(str(message))


def _strftime(now: datetime, form: str) -> str:
    # Widths such as %1000000d would be obeyed by some C libraries.
    if any(character.isdigit() for character in form) or len(form) > 100:
        raise ValueError("strftime_now: not a plain format")
    return now.strftime(form)


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MAX_REASON else text[:_MAX_REASON] + "…"


def _part_text(part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) else part
    if not isinstance(text, str):
        raise TemplateFailed("the model's chat template takes text only")
    return text


def _object(arguments: Any) -> Any:
    """Arguments as an object where they are the JSON text of one."""
    try:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments


def _strings(value: Any) -> Iterator[str]:
    """All strings in a value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(key)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _marks() -> Iterator[str]:
    """Unicode's noncharacters, then private ones: nobody writes with them."""
    for first, last in ((0xFDD0, 0xFDEF), (0xFFFE, 0xFFFF), (0xE000, 0xF8FF)):
        yield from map(chr, range(first, last + 1))


def _free_mark(texts: Sequence[str]) -> str:
    """A character that is in none of the texts, neither as it is nor escaped as JSON."""
    for mark in _marks():
        if not any(mark in text or _escaped(mark) in text for text in texts):
            return mark
    raise TemplateFailed("the conversation uses all of Unicode's private characters")


def _escaped(mark: str) -> str:
    return f"\\u{ord(mark):04x}"


def _without(text: str, mark: str) -> str:
    return text.replace(mark, "").replace(_escaped(mark), "")
