"""Takes an answer's text apart: content, reasoning, calls. A state machine over text that comes in pieces.

    CONTENT ── open think marker ──> REASONING ── close think marker ──> CONTENT
    CONTENT ── opener of a call ───> CALLS ────── end of the block ────> CONTENT

Where a family frames its messages (`Channels`), what frames them is dropped, and what the prompt has begun of the first
frame is read as if the model had written it.

Think markers count wherever they stand in free text, as some models think again between paragraphs; with thinking off,
they count in front of it only. A closing marker with which free text begins is dropped: some models say so that they
did not think. Reasoning that is never closed stays reasoning. Within reasoning nothing else is looked for, except that
a model may repeat the marker with which the prompt opened it.

An answer that holds to a form is content from its first character on, whatever it looks like; one that calls in its
place is nothing but calls from its first call on. In free text, where the dialect has a marker for calls, a call
without it counts only where nothing was said before: behind words it is an example.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from obeaver.text.delivery import Delivery
from obeaver.text.hold_back import HoldBack, Patterns
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.tool_calls.block import CallBlock
from obeaver.text.tool_calls.dialect import Channels, Dialect, Form
from obeaver.text.tool_spec import ToolSpec

_FORM_BREAKS: Final = 2
"""Line breaks that a grammar allows between a thought and a form."""


class Part(Enum):
    """Which part of an answer the text belongs to."""

    CONTENT = "content"
    REASONING = "reasoning"
    CALLS = "calls"


class Expected(Enum):
    """What an answer is held to."""

    TEXT = "free text, which may call in between"
    FORM = "a form, or calls in its place"
    CALLS = "nothing but calls"


class AnswerReader:
    """Text in, parts out to a `Delivery`.

    Args:
        delivery: Where the parts go.
        think: The model's think markers, if it has any.
        think_open: The reasoning is open from the beginning.
        dialect: How the model writes calls; None if it may not call.
        tools: The functions that it may call, by name.
        channels: How the model frames its messages, if it does.
        expected: What the answer is held to.
        thinks_again: Think markers count behind content too.
    """

    def __init__(
        self,
        delivery: Delivery,
        *,
        think: ThinkMarkers | None,
        think_open: bool,
        dialect: Dialect | None,
        tools: Mapping[str, ToolSpec],
        channels: Channels | None = None,
        expected: Expected = Expected.TEXT,
        thinks_again: bool = True,
    ) -> None:
        self._delivery = delivery
        self._think = think
        self._tools = tools
        self._is_form = expected is Expected.FORM
        self._thinks_again = thinks_again
        forms = _forms_of(dialect, expected) if dialect else ()
        self._forms: dict[str, Form] = {form.opener: form for form in forms}
        self._marked = dialect is not None and _has_marker(dialect)
        self._frames = frozenset(channels.frames if channels else ())
        self._openers = HoldBack(Patterns([*self._forms, *self._frames, *(think or ())]))
        self._closers = HoldBack(Patterns(think or ()))
        self._block: CallBlock | None = None
        self._after_think = False
        self._breaks_after_think = _FORM_BREAKS
        self._begun = False
        self._has_thought = False
        self._said_words = False
        self._may_repeat = think_open
        self._line_is_blank = True
        self._reasoning = False
        self._opened = ""
        if think and think_open:
            self._open_reasoning()
        elif channels and channels.opened:
            self.feed(channels.opened)
            self._opened = channels.opened

    @property
    def part(self) -> Part:
        """Where the text stands."""
        if self._block:
            return Part.CALLS
        return Part.REASONING if self._reasoning else Part.CONTENT

    def control(self, text: str) -> None:
        """A control token stands here that a stop string speaks of."""
        if self.part is Part.CONTENT:
            self._content(self._openers.flush())
            self._delivery.control(text)

    @property
    def _form_has_begun(self) -> bool:
        return self._is_form and self._begun and not self._delivery.num_calls

    def feed(self, text: str) -> None:
        """Take the next piece."""
        while text and not self._delivery.stopped:
            if self._block:
                text = self._feed_block(self._block, text)
            elif self._reasoning:
                text = self._feed_reasoning(text)
            else:
                text = self._feed_content(text)

    def finish(self) -> None:
        """The text has ended."""
        if self._block:
            self._content(self._block.finish())
        elif self._reasoning:
            self._thought(self._closers.flush())
        else:
            self._content(self._openers.flush())

    def _feed_content(self, text: str) -> str:
        if self._form_has_begun:
            self._content(self._openers.flush() + text)
            return ""
        passed = self._openers.feed(text)
        self._content(passed.text)
        if passed.found:
            return self._open(passed.found) + passed.rest
        return passed.rest

    def _open(self, opener: str) -> str:
        """Begin what this text opens, if it can begin here; the text that it begins with."""
        if self._form_has_begun:
            self._content(opener)
            return ""
        if opener in self._frames:
            return ""
        if opener in self._forms:
            return self._open_block(self._forms[opener])
        if self._think and opener == self._think.close:
            self._close_nothing(opener)
        elif self._may_think:
            self._open_reasoning()
        else:
            self._content(opener)
        return ""

    def _close_nothing(self, marker: str) -> None:
        if self._is_form or self._has_thought or self._said_words:
            self._content(marker)
        else:
            self._has_thought = self._after_think = True

    def _open_block(self, form: Form) -> str:
        is_example = form.line_start and (not self._line_is_blank or (self._marked and self._said_words))
        if is_example:
            self._content(form.opener)
            return ""
        self._block = CallBlock(form, self._delivery, self._tools)
        return form.opener if form.opener_is_body else ""

    def _feed_block(self, block: CallBlock, text: str) -> str:
        end = block.feed(text)
        if end is None:
            return ""
        self._block = None
        self._line_is_blank = True
        self._content(end.content)
        return end.rest

    def _feed_reasoning(self, text: str) -> str:
        passed = self._closers.feed(text)
        self._thought(passed.text)
        if self._think and passed.found == self._think.close:
            self._reasoning = False
            self._after_think = True
        elif passed.found and not self._may_repeat:
            self._thought(passed.found)
        return passed.rest

    @property
    def _may_think(self) -> bool:
        """Whether a think marker is one here: in front of a form stands one thought."""
        if self._is_form:
            return not self._has_thought
        return self._thinks_again or not self._said_words

    def _open_reasoning(self) -> None:
        self._reasoning = self._has_thought = True
        self._delivery.open_reasoning()

    def _thought(self, text: str) -> None:
        self._may_repeat = self._may_repeat and not text.strip()
        self._delivery.reasoning(text)

    def _content(self, text: str) -> None:
        if self._opened and text:
            text, self._opened = text.removeprefix(self._opened), ""
        if self._after_think:
            text = self._behind_thought(text)
            self._after_think = not text
            self._line_is_blank = True
        self._begun = self._begun or bool(text)
        self._said_words = self._said_words or bool(text.strip())
        line_break = text.rfind("\n")
        self._line_is_blank = not text[line_break + 1 :].strip() and (self._line_is_blank or line_break >= 0)
        self._delivery.content(text)

    def _behind_thought(self, text: str) -> str:
        """Text without the white space that stands between a thought and what follows it."""
        if not self._is_form:
            return text.lstrip()
        num_breaks = min(len(text) - len(text.lstrip("\n")), self._breaks_after_think)
        self._breaks_after_think -= num_breaks
        return text[num_breaks:]


def _begins(dialect: Dialect) -> str:
    """The text with which calls of this dialect begin, behind what frames them."""
    begin = dialect.format.list_begin or dialect.format.call_begin
    for frame in dialect.channels.frames if dialect.channels else ():
        begin = begin.removeprefix(frame)
    return begin


def _has_marker(dialect: Dialect) -> bool:
    """Whether calls begin with something that cannot be meant otherwise."""
    return any(not form.line_start and _begins(dialect).startswith(form.opener) for form in dialect.forms)


def _forms_of(dialect: Dialect, expected: Expected) -> tuple[Form, ...]:
    """The forms to look for: those that a grammar writes, where one holds all of the answer."""
    if expected is Expected.TEXT:
        return dialect.forms
    own = tuple(form for form in dialect.forms if _begins(dialect).startswith(form.opener))
    return own or dialect.forms
