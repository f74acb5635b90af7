"""A model's chat template: Jinja source from strangers, rendered into a prompt.

Templates get what Hugging Face's loader gives them: `messages`, `tools`, `documents`, `add_generation_prompt`, the
special tokens by name, `raise_exception`, `strftime_now`, a `tojson` that escapes nothing, loop controls. The sandbox
bounds what they can do and cost. What comes from the request never acts as a control token; see `prompt.py`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NoReturn

from jinja2 import TemplateError

from obeaver.errors import ModelError, TemplateFailed
from obeaver.text.chat_template_budget import MAX_WORK, PROBE_WORK, Budget
from obeaver.text.chat_template_sandbox import BUDGET, Sandbox
from obeaver.text.needs.need import Need, Probe, Telling
from obeaver.text.needs.retelling import Message
from obeaver.text.needs.rules import find_needs, retold
from obeaver.text.prompt import ControlTokens, Piece, RenderedPrompt
from obeaver.text.thinking_switches import thinking_variables
from obeaver.text.tool_spec import ToolChoice

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
_AUTO: Final = ToolChoice()
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_MARK: Final = re.compile("[\ufdd0-\ufdef\ufffe\uffff\ue000-\uf8ff]")
_ESCAPE: Final = re.compile(r"\\u[0-9a-f]{4}")
_ESCAPE_CHARS: Final = 6
_SLICE: Final = 65_536
# Strings under these keys are compared by templates and chosen by the API, so their edges stay as they are.
_FIXED_WORDS: Final = frozenset({"role", "type"})


class _Rejected(TemplateError):
    """The template itself has rejected the conversation."""


class ChatTemplate:
    """A compiled chat template, and what it does not know. Safe to share between threads.

    Args:
        source: Jinja.
        special_tokens: `bos_token` and the like, as the template may name them.
        control_tokens: All strings that act as control tokens in a prompt: the tokenizer's `control_tokens`.
        tool_dialect: How the model writes calls, where they have to be told in words; the default one if not given.
        now: What time it is, for templates that print the date.
        max_work: What one rendering may cost; see `chat_template_budget.py`.

    Attributes:
        needs: What has to be done for it, since it knows less than the API.

    Raises:
        ModelError: The source is no valid template, or uses what is not supported.
    """

    def __init__(
        self,
        source: str,
        *,
        special_tokens: Mapping[str, str],
        control_tokens: Iterable[str],
        tool_dialect: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC).astimezone(),
        max_work: int = MAX_WORK,
    ) -> None:
        sandbox = Sandbox({"raise_exception": _raise_exception, "strftime_now": lambda form: _strftime(now(), form)})
        try:
            self._template, self._names = sandbox.load(source)
        except (TemplateError, RecursionError, SyntaxError, ValueError) as error:
            raise ModelError(f"the chat template cannot be used: {_reason(error)}") from error
        self._source = source
        self._max_work = max_work
        self._special_tokens = dict(special_tokens)
        self._control = ControlTokens(control_tokens)
        self._dialect = tool_dialect
        self.needs = find_needs(self._shows, tool_dialect)

    def render(
        self,
        messages: Sequence[Message],
        /,
        *,
        tools: Sequence[Message] | None = None,
        choice: ToolChoice = _AUTO,
        parallel: bool = True,
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] = _NOTHING,
    ) -> RenderedPrompt:
        """Make the prompt.

        Content may be a string, a list of text parts or null, and arguments of calls an object or JSON text. What the
        template does not know is told it in another way; see `needs/rules.py`.

        Args:
            messages: The conversation.
            tools: Definitions of the functions on offer.
            choice: Whether the model may or must call them, for templates that know no tools.
            parallel: Whether it may call several at once, for the same.
            add_generation_prompt: End with the beginning of an answer.
            variables: More variables for the template; the conversation and the special tokens cannot be overridden.

        Raises:
            TemplateFailed: The template rejects the conversation, fails on it, or takes too much time or memory.
        """
        telling = Telling([_plain(message) for message in messages], tools or (), choice, parallel)
        given = {**variables, **self._given(telling, self.needs), "add_generation_prompt": add_generation_prompt}
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

    def thinking_variables(self, effort: str | None, *, enabled: bool | None) -> dict[str, Any]:
        """The variables by which this template is told how much to think; see `thinking_switches.py`."""
        return thinking_variables(effort, enabled=enabled, source=self._source, names=self._names)

    def _given(self, telling: Telling, needs: frozenset[Need]) -> dict[str, Any]:
        telling = retold(telling, needs, self._dialect)
        tools = list(telling.tools) or telling.no_tools
        # SmolLM3's name for them, without what is around a function.
        functions = [tool.get("function", tool) for tool in telling.tools] or telling.no_tools
        return {"messages": list(telling.messages), "tools": tools, "xml_tools": functions}

    def _shows(self, probe: Probe, needs: frozenset[Need]) -> bool:
        # A copy, since a template may change lists.
        given = self._marked(self._given(probe.telling, needs), "")
        variables = {**given, "add_generation_prompt": False}
        try:
            text = self._run(variables, Budget(PROBE_WORK))
        except (TemplateError, *_FAILURES):
            return False
        return all(word in text for word in probe.words) and not any(word in text for word in probe.unwanted)

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


def _plain(message: Message) -> Message:
    """The message with content that is one string, and arguments that are objects where they are the text of one."""
    content = message.get("content")
    text = PART_SEPARATOR.join(map(_part_text, content)) if isinstance(content, list) else content or ""
    plain = {**message, "content": text}
    return (
        {**plain, "tool_calls": [_plain_call(call) for call in message["tool_calls"]]}
        if "tool_calls" in plain
        else plain
    )


def _plain_call(call: Message) -> Message:
    function = call["function"]
    return {**call, "function": {**function, "arguments": _object(function.get("arguments"))}}


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


def _free_mark(texts: Iterable[str]) -> str:
    """A character that is in none of the texts, neither as it is nor escaped as JSON."""
    used = {mark for text in texts for mark in _found_marks(text)}
    for mark in _marks():
        if mark not in used:
            return mark
    raise TemplateFailed("the conversation uses all of Unicode's private characters")


def _found_marks(text: str) -> Iterator[str]:
    """Marks in a text, and what looks like an escaped one."""
    if not text.isascii():
        yield from _found(_MARK, text)
    if "\\u" in text:
        yield from (chr(int(escape[2:], 16)) for escape in _found(_ESCAPE, text))


def _found(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """What a pattern finds; between two slices other threads get their turn."""
    for start in range(0, len(text), _SLICE):
        yield from pattern.findall(text, max(0, start - _ESCAPE_CHARS), start + _SLICE)


def _escaped(mark: str) -> str:
    return f"\\u{ord(mark):04x}"


def _without(text: str, mark: str) -> str:
    return text.replace(mark, "").replace(_escaped(mark), "")
