"""Calls that name the function first and give its arguments as JSON behind a marker: `name[ARGS]{…}`."""

import re
from dataclasses import dataclass
from typing import Final

from obeaver.text.tool_calls.chars import CallOutput, Chars, Malformed, Reading
from obeaver.text.tool_calls.json_calls import JsonCalls

ARGS_MARKER, ID_MARKER = "[ARGS]", "[CALL_ID]"

_FENCE: Final = "```"
_NAMESPACE: Final = "functions."
_NUMBER: Final = re.compile(r":\d+$")


@dataclass(frozen=True, slots=True)
class CallMarkers:
    """The markers round calls.

    Attributes:
        begin: In front of a call.
        middle: Behind its head: the function's name, or a word that says nothing, with the name behind the marker.
        end: Behind a call.
        section_ends: Behind all calls.
        arguments: In front of the arguments, where the head is a call's id and the name stands behind `middle`.
    """

    begin: str
    middle: str
    end: str
    section_ends: tuple[str, ...] = ()
    arguments: str = ""


class NamedCall:
    """Reads one call; the current character is the first of the name."""

    def __init__(self, chars: Chars, out: CallOutput) -> None:
        self._chars = chars
        self._out = out

    def read(self) -> Reading[None]:
        """Read name, markers and arguments. The call's own id, if it has one, is not used.

        Raises:
            Malformed: This is no call of an offered function.
        """
        chars = self._chars
        name = (yield from chars.until("[{", forbidden="\n")).strip()
        if self._out.tool(name) is None:
            raise Malformed
        while chars.char == "[":
            yield from self._marker()
        yield from JsonCalls(chars, self._out).read_arguments(name)

    def _marker(self) -> Reading[None]:
        yield from self._chars.expect("[")
        if self._chars.char == ID_MARKER[1]:
            yield from self._chars.expect(ID_MARKER[1:])
            yield from self._chars.until("[{", forbidden="\n")
        else:
            yield from self._chars.expect(ARGS_MARKER[1:])
            yield from self._chars.skip_space()


class MarkedCalls:
    """Reads calls that stand between markers, each its function's name, a marker, and one JSON object.

    Args:
        chars: The current character is the first behind the marker that begins the block.
        out: Where calls are reported.
        words: The family's markers.
    """

    def __init__(self, chars: Chars, out: CallOutput, words: CallMarkers) -> None:
        self._chars = chars
        self._out = out
        self._words = words

    def read_section(self) -> Reading[None]:
        """Read from behind the marker that begins all calls.

        Raises:
            Malformed: What stands here is not a call; calls that were announced before remain.
        """
        yield from self._chars.skip_space()
        yield from self._chars.expect(self._words.begin)
        yield from self.read()

    def read(self) -> Reading[None]:
        """Read from behind the marker that begins one call.

        Raises:
            Malformed: As for `read_section`.
        """
        chars, words = self._chars, self._words
        closers = (words.end, *words.section_ends)
        yield from self._call()
        yield from chars.skip_space()
        while found := (yield from chars.find((words.begin, *closers))):
            if found in closers:
                self._out.settle()
            yield from chars.next()
            if found == words.begin:
                yield from self._call()
            elif found in words.section_ends:
                return
            yield from chars.skip_space()

    def _call(self) -> Reading[None]:
        chars, words = self._chars, self._words
        head = yield from chars.until("<", forbidden="\n")
        yield from chars.expect(words.middle)
        if words.arguments:
            head = yield from chars.until("<", forbidden="\n")
            yield from chars.expect(words.arguments)
        name = self._offered(head)
        if name is None and not words.arguments:
            name = self._offered((yield from chars.until("{`\n", forbidden="<")))
        if name is None:
            raise Malformed
        yield from chars.skip_space()
        yield from self._fenced(name) if chars.char == "`" else self._plain(name)

    def _plain(self, name: str) -> Reading[bool]:
        return (yield from JsonCalls(self._chars, self._out, closers=(self._words.end,)).read_arguments(name))

    def _fenced(self, name: str) -> Reading[None]:
        """Arguments in a code block."""
        chars = self._chars
        yield from chars.expect(_FENCE)
        yield from chars.until("{", forbidden="`<")
        if not (yield from self._plain(name)):
            yield from chars.skip_space()
            yield from chars.accept((_FENCE,), self._out.settle)

    def _offered(self, head: str) -> str | None:
        """The offered function that a head names; families put a namespace before it, and a number behind."""
        name = head.strip()
        shorter = _NUMBER.sub("", name.removeprefix(_NAMESPACE))
        candidates = (name, name.removeprefix(_NAMESPACE), shorter)
        return next((candidate for candidate in candidates if self._out.tool(candidate) is not None), None)
