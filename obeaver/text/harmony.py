"""Answers in gpt-oss' harmony format: messages, each with a header that names its channel and whom it is for.

    HEADER ── <|message|> ──> BODY ── <|end|>, <|call|>, <|return|> ──> between messages ── <|start|> ──> HEADER

The channel `analysis` is reasoning; `commentary` for `functions.NAME` is a call, and for nobody it is text for the
user, as `final` is. The prompt has written `<|start|>assistant`, so an answer begins within a header. Where a tokenizer
drops the tokens that frame messages, `analysis…assistantfinal…` is left of them, which is understood as well.
"""

from collections.abc import Callable, Mapping
from typing import Final

from obeaver.text.answer_reader import Expected, Part
from obeaver.text.delivery import Delivery
from obeaver.text.harmony_header import CHANNELS, FRAMES, ROLE, TO_FUNCTION, Header, read_header
from obeaver.text.hold_back import HoldBack, Patterns
from obeaver.text.tool_calls.chars import Malformed
from obeaver.text.tool_calls.json_text import JsonText
from obeaver.text.tool_spec import ToolSpec

_ENDS: Final = ("<|end|>", "<|call|>", "<|return|>")
_BREAKS: Final = Patterns([*FRAMES, *_ENDS])
# What is left of `<|start|>assistant<|channel|>final`; nobody writes that in an answer's own text.
_BARE: Final = (*(ROLE + channel for channel in CHANNELS), f"{ROLE} {TO_FUNCTION}")
_BARE_BREAKS: Final = Patterns([*FRAMES, *_ENDS, *_BARE])


class HarmonyReader:
    """Text in, parts out to a `Delivery`.

    Args:
        delivery: Where the parts go.
        think_open: The prompt ends within the reasoning.
        tools: The functions that may be called, by name.
        expected: What the answer is held to.
    """

    def __init__(
        self,
        delivery: Delivery,
        *,
        think_open: bool,
        tools: Mapping[str, ToolSpec],
        expected: Expected = Expected.TEXT,
    ) -> None:
        self._delivery = delivery
        self._answer_breaks = Patterns(()) if expected is Expected.FORM else _BREAKS
        self._tools = tools
        self._header = ""
        self._is_bare = False
        self._breaks = HoldBack(_BREAKS)
        self._put: Callable[[str], None] = delivery.content
        self._json: JsonText | None = None
        self._blank = True
        self._part = Part.CONTENT
        self._in_header = not think_open
        if think_open:
            self._open_body(Part.REASONING)

    @property
    def part(self) -> Part:
        """Where the text stands."""
        return self._part

    def control(self, text: str) -> None:
        """A control token stands here that a stop string speaks of."""
        if self._part is Part.CONTENT and not self._in_header:
            self._put(self._breaks.flush())
            self._delivery.control(text)

    def feed(self, text: str) -> None:
        """Take the next piece."""
        while text and not self._delivery.stopped:
            if self._in_header:
                text = self._feed_header(text)
            elif self._json is not None:
                text = self._feed_json(self._json, text)
            else:
                text = self._feed_body(text)

    def finish(self) -> None:
        """The text has ended."""
        if self._in_header:
            self._delivery.content(self._header)
            return
        self._put(self._breaks.flush())
        if self._part is Part.CALLS:
            self._delivery.end_call()

    def _feed_header(self, text: str) -> str:
        for place, char in enumerate(text, start=1):
            self._header += char
            header = read_header(self._header)
            if header is not None:
                return self._open_message(header) + text[place:]
        return ""

    def _open_message(self, header: Header) -> str:
        """Begin a message; the text of its body that has been read with the header."""
        written, self._header = self._header, ""
        self._is_bare = self._is_bare or header.is_bare
        name = next((name for name in header.recipients if name in self._tools), None)
        if name is not None:
            self._open_call(name)
        elif header.channel is None or header.recipients:
            self._open_body(Part.CONTENT)
            self._put(written)
        else:
            part = Part.REASONING if header.channel == "analysis" else Part.CONTENT
            self._open_body(part, is_answer=header.channel == "final")
        return header.body

    def _open_body(self, part: Part, *, is_answer: bool = False) -> None:
        self._in_header, self._json, self._part = False, None, part
        # The answer itself is the last message: words are words in it, and in a form markers are text.
        within = _BARE_BREAKS if self._is_bare else _BREAKS
        self._breaks = HoldBack(self._answer_breaks if is_answer else within)
        self._put = self._delivery.content
        if part is Part.REASONING:
            self._put = self._delivery.reasoning
            self._delivery.open_reasoning()

    def _open_call(self, name: str) -> None:
        self._open_body(Part.CALLS)
        self._put = self._delivery.arguments
        self._json, self._blank = JsonText(), True
        self._delivery.call(name)

    def _feed_body(self, text: str) -> str:
        passed = self._breaks.feed(text)
        self._put(passed.text)
        if passed.found is None:
            return passed.rest
        if self._part is Part.CALLS:
            self._delivery.end_call()
        self._open_body(Part.CONTENT)
        if passed.found in _ENDS:
            return passed.rest
        self._in_header = True
        return passed.found.removeprefix(ROLE).lstrip() + passed.rest

    def _feed_json(self, json_text: JsonText, text: str) -> str:
        """Arguments end with their object; what is no object goes on to the end of the message."""
        for place, char in enumerate(text):
            if self._blank and char.isspace():
                continue
            try:
                self._put(json_text.feed(char))
            except Malformed:
                self._json = None
                return text[place:]
            self._blank = False
            if json_text.complete:
                self._delivery.end_call()
                self._open_body(Part.CONTENT)
                return text[place + 1 :]
        return ""
