"""The ways in which blocks of calls begin, for the table of dialects: each opening text with its reader."""

from collections.abc import Callable
from typing import Final, TypeAlias

from obeaver.text.tool_calls.arguments import TagWords
from obeaver.text.tool_calls.chars import CallOutput, Chars, Malformed, Reading
from obeaver.text.tool_calls.dialect import Form
from obeaver.text.tool_calls.json_calls import JsonCalls
from obeaver.text.tool_calls.keyword_calls import GEMMA, PYTHON, KeywordCalls
from obeaver.text.tool_calls.named_calls import CallMarkers, MarkedCalls, NamedCall
from obeaver.text.tool_calls.tag_calls import TagCall

Reader: TypeAlias = Callable[[Chars, CallOutput], Reading[None]]

_FENCE: Final = "```"
_JSON_FENCES: Final = frozenset({"", "json", "tool_call", "tool_calls", "tool_code", "function_call", "functioncall"})
_CODE_FENCE: Final = "tool_code"


def marked(opener: str, *closers: str, keyed: bool = False) -> Form:
    """JSON behind a marker."""

    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        yield from chars.skip_space()
        yield from JsonCalls(chars, out, closers=closers, keyed=keyed).read()

    return Form(opener, read, closers)


def named(opener: str) -> Form:
    """Mistral's: a name and JSON, or JSON in a list, behind a marker."""

    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        yield from chars.skip_space()
        if chars.char in "[{":
            yield from JsonCalls(chars, out).read()
        else:
            yield from NamedCall(chars, out).read()

    return Form(opener, read)


def word_and_list(opener: str) -> Form:
    """A list of JSON directly behind a word that may also be just a word."""

    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        if chars.char != "[":
            raise Malformed
        yield from JsonCalls(chars, out).read()

    return Form(opener, read)


def tags(words: TagWords, opener: str = "", *closers: str) -> tuple[Form, ...]:
    """Function tags behind a marker that opens a block of them, or without any."""
    functions = _function_tags(words, closers)
    own = Form(words.function, functions, (words.function_end, *closers))

    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        yield from chars.skip_space()
        if chars.char in "[{":
            yield from JsonCalls(chars, out, closers=closers).read()
        else:
            yield from chars.expect(words.function)
            yield from functions(chars, out)

    return (Form(opener, read, closers), own) if opener else (own,)


def tag_or_json(words: TagWords) -> Form:
    """One function tag, or JSON in its place."""

    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        yield from chars.skip_space()
        if chars.char in "[{":
            yield from JsonCalls(chars, out, closers=(words.function_end,)).read()
        else:
            yield from TagCall(chars, out, words).read()

    return Form(words.function, read, (words.function_end,))


def between_markers(words: CallMarkers, section: str) -> tuple[Form, ...]:
    """Names and JSON between markers, in a section of them or alone."""
    closers = (words.end, *words.section_ends)
    return (
        Form(section, lambda chars, out: MarkedCalls(chars, out, words).read_section(), closers),
        Form(words.begin, lambda chars, out: MarkedCalls(chars, out, words).read(), closers),
    )


def code(opener: str, *closers: str) -> Form:
    """Calls of a programming language behind a marker."""

    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        yield from chars.skip_space()
        yield from _code(chars, out, closers)

    return Form(opener, read, closers)


def fenced_after(word: str) -> Form:
    """JSON in a code block behind a word at the beginning of a line."""

    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        yield from chars.skip_space()
        yield from _fenced(chars, out)

    return Form(word, read, (_FENCE,), line_start=True)


def recipient(opener: str, user: str) -> Form:
    """Functionary's: whom a message is for in a line of its own, then text for the user, or JSON for a function.

    Args:
        opener: Stands in front of every message.
        user: Means the user.
    """

    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        name = yield from chars.until("\n", forbidden=" \t<>(){}[]\"'")
        if name == user:
            out.settle()
            yield from chars.next()
        elif out.tool(name) is None:
            raise Malformed
        else:
            yield from chars.skip_space()
            yield from JsonCalls(chars, out).read_arguments(name)

    return Form(opener, read)


def gemma(opener: str, closer: str) -> Form:
    """Gemma 4's calls."""

    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        yield from chars.skip_space()
        yield from chars.expect("call:")
        yield from KeywordCalls(chars, out, GEMMA, "{").read()
        yield from chars.skip_space()
        yield from chars.accept((closer,), out.settle)

    return Form(opener, read, (closer,))


def _function_tags(words: TagWords, closers: tuple[str, ...]) -> Reader:
    def read(chars: Chars, out: CallOutput) -> Reading[None]:
        yield from TagCall(chars, out, words).read()
        yield from chars.skip_space()
        while found := (yield from chars.find((words.function, *closers))):
            if found in closers:
                out.settle()
            yield from chars.next()
            if found in closers:
                return
            yield from TagCall(chars, out, words).read()
            yield from chars.skip_space()

    return read


def _code(chars: Chars, out: CallOutput, closers: tuple[str, ...]) -> Reading[None]:
    """Calls up to a closer: a list of them, one in each line, or what some models write instead, JSON."""
    while chars.char.isidentifier() or chars.char in ("[", "{"):
        if chars.char == "[":
            yield from _list(chars, out, closers)
        elif chars.char == "{":
            yield from JsonCalls(chars, out, closers=closers).read()
            return
        else:
            yield from KeywordCalls(chars, out, PYTHON).read()
        while chars.char.isspace() or chars.char == ";":
            yield from chars.next()
    yield from chars.accept(closers, out.settle)


def _list(chars: Chars, out: CallOutput, closers: tuple[str, ...] = (), *, bare: bool = False) -> Reading[None]:
    yield from chars.expect("[")
    yield from chars.skip_space()
    if chars.char == "{":
        yield from JsonCalls(chars, out, closers=closers, bare=bare).read_members()
    else:
        yield from KeywordCalls(chars, out, PYTHON).read_members()


def _bare_json(chars: Chars, out: CallOutput) -> Reading[None]:
    yield from JsonCalls(chars, out, bare=True).read()


def _bare_list(chars: Chars, out: CallOutput) -> Reading[None]:
    yield from _list(chars, out, bare=True)


def _fenced(chars: Chars, out: CallOutput) -> Reading[None]:
    yield from chars.expect(_FENCE)
    word = yield from chars.until("\n {[", forbidden="`")
    if word not in _JSON_FENCES:
        raise Malformed
    yield from chars.skip_space()
    if word == _CODE_FENCE:
        yield from _code(chars, out, (_FENCE,))
    else:
        yield from JsonCalls(chars, out, closers=(_FENCE,), bare=True).read()


ANYWHERE: Final = (
    Form(_FENCE, _fenced, (_FENCE,), line_start=True, opener_is_body=True),
    Form("{", _bare_json, line_start=True, opener_is_body=True),
    Form("[{", _bare_json, line_start=True, opener_is_body=True),
)
"""What every dialect understands beside its own forms."""

PYTHON_LIST: Final = Form("[", _bare_list, line_start=True, opener_is_body=True)
"""Calls in a list and nothing around it."""
