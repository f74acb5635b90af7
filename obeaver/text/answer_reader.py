"""Takes an answer's text apart: content, reasoning, calls. A state machine over text that comes in pieces.

    CONTENT ── open think marker ──> REASONING ── close think marker ──> CONTENT
    CONTENT ── opener of a call ───> CALLS ────── end of the block ────> CONTENT

Think markers count wherever they stand in the content, as some models think again between paragraphs. Reasoning that is
never closed stays reasoning. Within reasoning nothing else is looked for, except that a model may repeat the marker
with which the prompt opened it.
"""

from collections.abc import Mapping
from enum import Enum

from obeaver.text.delivery import Delivery
from obeaver.text.hold_back import HoldBack, Patterns
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.tool_calls.block import CallBlock
from obeaver.text.tool_calls.dialects import Dialect, Form
from obeaver.text.tool_spec import ToolSpec


class Part(Enum):
    """Which part of an answer the text belongs to."""

    CONTENT = "content"
    REASONING = "reasoning"
    CALLS = "calls"


class AnswerReader:
    """Text in, parts out to a `Delivery`.

    Args:
        delivery: Where the parts go.
        think: The model's think markers, if it has any.
        think_open: The reasoning is open from the beginning.
        dialect: How the model writes calls; None if it may not call.
        tools: The functions that it may call, by name.
    """

    def __init__(
        self,
        delivery: Delivery,
        *,
        think: ThinkMarkers | None,
        think_open: bool,
        dialect: Dialect | None,
        tools: Mapping[str, ToolSpec],
    ) -> None:
        self._delivery = delivery
        self._think = think
        self._tools = tools
        self._forms: dict[str, Form] = {form.opener: form for form in dialect.forms} if dialect else {}
        self._openers = HoldBack(Patterns([*self._forms, *([think.open] if think else [])]))
        self._closers = HoldBack(Patterns(think or ()))
        self._block: CallBlock | None = None
        self._after_think = False
        self._may_repeat = think_open
        self._line_is_blank = True
        self._reasoning = False
        if think and think_open:
            self._open_reasoning()

    @property
    def part(self) -> Part:
        """Where the text stands."""
        if self._block:
            return Part.CALLS
        return Part.REASONING if self._reasoning else Part.CONTENT

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
        passed = self._openers.feed(text)
        self._content(passed.text)
        if self._think and passed.found == self._think.open:
            self._open_reasoning()
        elif passed.found:
            return self._open_block(self._forms[passed.found]) + passed.rest
        return passed.rest

    def _open_block(self, form: Form) -> str:
        """Begin a block if one can begin here; the text that it begins with."""
        if form.line_start and not self._line_is_blank:
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

    def _open_reasoning(self) -> None:
        self._reasoning = True
        self._delivery.open_reasoning()

    def _thought(self, text: str) -> None:
        self._may_repeat = self._may_repeat and not text.strip()
        self._delivery.reasoning(text)

    def _content(self, text: str) -> None:
        if self._after_think:
            text = text.lstrip()
            self._after_think = not text
            self._line_is_blank = True
        line_break = text.rfind("\n")
        self._line_is_blank = not text[line_break + 1 :].strip() and (self._line_is_blank or line_break >= 0)
        self._delivery.content(text)
