"""How models write calls: the table of dialects.

A dialect has *forms*, the ways in which its models begin a block of calls, and a *format*, the one way in which calls
are written for them: in the prompt, and by a grammar that leaves them no choice.

Every dialect also understands bare objects and code blocks, because small models often forget the markers. Such an
object must stand at the beginning of a line, and be nothing but a call: a name that was offered, and arguments.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from obeaver.text.tool_calls.chars import CallOutput, Chars, Malformed, Reading
from obeaver.text.tool_calls.json_calls import JsonCalls
from obeaver.text.tool_calls.named_calls import ARGS_MARKER, ID_MARKER, NamedCall
from obeaver.text.tool_calls.tag_calls import TagCall

_END_TOOL_CALL = "</tool_call>"
_FUNCTION_TAG = "<function="
_FENCE = "```"
_FENCE_WORDS = frozenset({"", "json", "tool_call", "tool_calls", "tool_code", "function_call", "functioncall"})


@dataclass(frozen=True, slots=True)
class Form:
    """One way to begin a block of calls.

    Attributes:
        opener: The text that begins it.
        read: The grammar of what follows.
        closers: Markers that may end it.
        line_start: It counts at the beginning of a line only.
        opener_is_body: The opening text is read by the grammar as well.
    """

    opener: str
    read: Callable[[Chars, CallOutput], Reading[None]]
    closers: tuple[str, ...] = ()
    line_start: bool = False
    opener_is_body: bool = False


@dataclass(frozen=True, slots=True)
class CallFormat:
    """How calls are written, as pieces of text to be put together; `write` shows how.

    Attributes:
        list_begin: Stands once, in front of all calls.
        call_begin: Stands in front of a function's name.
        after_name: Stands between the name and the arguments.
        call_end: Stands behind the arguments.
        separator: Stands between two calls.
        list_end: Stands once, behind all calls.
        arguments: `json` for one JSON object, `string` for a JSON string that holds one, `tags` for a tag and plain
            text for each argument.
    """

    call_begin: str
    after_name: str
    call_end: str
    list_begin: str = ""
    separator: str = "\n"
    list_end: str = ""
    arguments: Literal["json", "string", "tags"] = "json"

    def write(self, calls: Iterable[tuple[str, str]]) -> str:
        """Write calls, each a function's name and the JSON text of its arguments."""
        written = (
            f"{self.call_begin}{name}{self.after_name}{self._write_arguments(arguments)}{self.call_end}"
            for name, arguments in calls
        )
        return self.list_begin + self.separator.join(written) + self.list_end

    def _write_arguments(self, arguments: str) -> str:
        if self.arguments == "string":
            return json.dumps(arguments, ensure_ascii=False)
        if self.arguments == "tags":
            return "".join(_tag(key, value) for key, value in json.loads(arguments).items())
        return arguments


def _tag(key: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"<parameter={key}>\n{text}\n</parameter>\n"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the models of a family call functions.

    Attributes:
        name: What model facts call it.
        forms: The ways to begin a block, its own first.
        format: How a grammar or a prompt writes calls.
        markers: Texts that may be control tokens of the model and must then be given to the stream as text.
    """

    name: str
    forms: tuple[Form, ...]
    format: CallFormat
    markers: tuple[str, ...] = ()


def _json(*closers: str) -> Callable[[Chars, CallOutput], Reading[None]]:
    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        yield from chars.skip_space()
        yield from JsonCalls(chars, out, closers=closers).read()

    return read


def _json_list(chars: Chars, out: CallOutput) -> Reading[None]:
    if chars.char != "[":
        raise Malformed
    yield from JsonCalls(chars, out).read()


def _bare_json(chars: Chars, out: CallOutput) -> Reading[None]:
    yield from JsonCalls(chars, out, bare=True).read()


def _fenced_json(chars: Chars, out: CallOutput) -> Reading[None]:
    yield from chars.expect(_FENCE)
    word = yield from chars.until("\n {[", forbidden="`")
    if word not in _FENCE_WORDS:
        raise Malformed
    yield from chars.skip_space()
    yield from JsonCalls(chars, out, closers=(_FENCE,), bare=True).read()


def _function_tag(chars: Chars, out: CallOutput) -> Reading[None]:
    yield from TagCall(chars, out).read()
    yield from chars.skip_space()
    yield from chars.accept((_END_TOOL_CALL,), out.settle)


def _tool_call(chars: Chars, out: CallOutput) -> Reading[None]:
    yield from chars.skip_space()
    if chars.char == "<":
        yield from chars.expect(_FUNCTION_TAG)
        yield from _function_tag(chars, out)
    else:
        yield from JsonCalls(chars, out, closers=(_END_TOOL_CALL,)).read()


def _mistral(chars: Chars, out: CallOutput) -> Reading[None]:
    yield from chars.skip_space()
    if chars.char in "[{":
        yield from JsonCalls(chars, out).read()
    else:
        yield from NamedCall(chars, out).read()


def _marked(opener: str, *closers: str) -> Form:
    return Form(opener, _json(*closers), closers)


_TOOL_CALL = Form("<tool_call>", _tool_call, (_END_TOOL_CALL,))
_FUNCTION = Form(_FUNCTION_TAG, _function_tag, ("</function>", _END_TOOL_CALL))
_MISTRAL = Form("[TOOL_CALLS]", _mistral)
_PHI = _marked("<|tool_call|>", "<|/tool_call|>")
_FUNCTOOLS = Form("functools", _json_list)
_PYTHON_TAG = _marked("<|python_tag|>")
_FUNCTION_CALLS = _marked("<|function_calls|>", "<|/function_calls|>", "<|end_function_calls|>")
_FUNCTIONCALL = _marked("<functioncall>", "</functioncall>")
_ANYWHERE = (
    Form(_FENCE, _fenced_json, (_FENCE,), line_start=True, opener_is_body=True),
    Form("{", _bare_json, line_start=True, opener_is_body=True),
    Form("[{", _bare_json, line_start=True, opener_is_body=True),
)

_OBJECT = CallFormat('{"name": "', '", "arguments": ', "}")
_TAGS = CallFormat("<tool_call>\n<function=", ">\n", f"</function>\n{_END_TOOL_CALL}", arguments="tags")


def _dialect(name: str, call_format: CallFormat, *forms: Form, markers: tuple[str, ...] = ()) -> Dialect:
    control = [text for form in forms for text in (form.opener, *form.closers)]
    return Dialect(name, forms + _ANYWHERE, call_format, (*control, *markers))


def _objects(list_begin: str, list_end: str) -> CallFormat:
    return CallFormat(
        _OBJECT.call_begin, _OBJECT.after_name, "}", list_begin=list_begin, separator=", ", list_end=list_end
    )


DEFAULT_DIALECT = "hermes"
"""For models whose template knows no tools: its markers are short, and leave no doubt where a call begins."""

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            # Hermes 2 Pro, Qwen 2.5 and 3.
            _dialect(
                DEFAULT_DIALECT,
                CallFormat('<tool_call>\n{"name": "', '", "arguments": ', f"}}\n{_END_TOOL_CALL}"),
                _TOOL_CALL,
                _FUNCTION,
            ),
            # Qwen3-Coder; Llama 3.1 with functions of the user's own writes the same tag around JSON.
            _dialect("qwen3_coder", _TAGS, _TOOL_CALL, _FUNCTION),
            # Phi 4 mini, Granite 3.
            _dialect("phi", _objects("<|tool_call|>[", "]<|/tool_call|>"), _PHI, _TOOL_CALL, _FUNCTOOLS),
            _dialect("functools", _objects("functools[", "]"), _FUNCTOOLS, _PHI),
            # Mistral before and after the tokenizer's version 11.
            _dialect("mistral_list", _objects("[TOOL_CALLS][", "]"), _MISTRAL, markers=(ARGS_MARKER, ID_MARKER)),
            _dialect(
                "mistral",
                CallFormat("[TOOL_CALLS]", ARGS_MARKER, "", separator=""),
                _MISTRAL,
                markers=(ARGS_MARKER, ID_MARKER),
            ),
            _dialect(
                "llama3", CallFormat('{"name": "', '", "parameters": ', "}", separator="; "), _PYTHON_TAG, _FUNCTION
            ),
            _dialect("function_calls", _objects("<|function_calls|>[", "]<|/function_calls|>"), _FUNCTION_CALLS),
            _dialect("functioncall", CallFormat('<functioncall> {"name": "', _OBJECT.after_name, "}"), _FUNCTIONCALL),
            _dialect("json_block", _objects("```json\n[", "]\n```")),
            _dialect(
                "function_call",
                CallFormat('{"function_call": {"name": "', _OBJECT.after_name, "}}", arguments="string"),
            ),
            _dialect("json", _OBJECT),
        )
    }
)
