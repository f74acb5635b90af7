"""One stretch of text that may be calls: runs its grammar, and gives back whatever turns out to be no call."""

from collections.abc import Mapping
from typing import NamedTuple

from obeaver.text.delivery import Delivery
from obeaver.text.tool_calls.chars import Chars, Malformed, Reading
from obeaver.text.tool_calls.dialect import Form
from obeaver.text.tool_spec import ToolSpec


class BlockEnd(NamedTuple):
    """A block is over.

    Attributes:
        content: Text that is no call, and is not to be searched again.
        rest: Text to go on with.
    """

    content: str
    rest: str


class CallBlock:
    """Follows a form's grammar from its opening marker on.

    Calls go to the delivery at once. Text that has not become part of a call is kept: when the grammar fails, or ends
    without a closing marker, it is given back and becomes content. Nothing is lost, and no character is read more than
    twice.
    """

    def __init__(self, form: Form, delivery: Delivery, tools: Mapping[str, ToolSpec]) -> None:
        self._form = form
        self._delivery = delivery
        self._tools = tools
        self._kept = "" if form.opener_is_body else form.opener
        self._settled = False
        self._in_call = False
        chars = Chars()
        self._reading = self._read(form, chars)
        next(self._reading)

    def feed(self, text: str) -> BlockEnd | None:
        """Take the next piece; the end of the block, if it lies in there."""
        for place, char in enumerate(text):
            self._kept += char
            try:
                self._reading.send(char)
            except (StopIteration, Malformed):
                return self._end(text[place:])
        return None

    def finish(self) -> str:
        """The text has ended; what is left of the block and is content.

        Closing the generator lets a grammar give out what it holds back. What was cut inside of a call is part of it.
        """
        self._reading.close()
        if self._in_call:
            return ""
        rest = self._kept.strip()
        return "" if self._settled and any(closer.startswith(rest) for closer in self._form.closers) else self._kept

    def tool(self, name: str) -> ToolSpec | None:
        """The offered function of this name."""
        return self._tools.get(name)

    def call(self, name: str) -> None:
        """Announce a call."""
        self.settle()
        self._in_call = True
        self._delivery.call(name)

    def arguments(self, text: str) -> None:
        """Pass on arguments."""
        self.settle()
        self._delivery.arguments(text)

    def supply(self, text: str) -> None:
        """Pass on arguments that do not stand in the text."""
        self._delivery.arguments(text)

    def end_call(self) -> None:
        """Tell that a call is complete."""
        self._in_call = False
        self._delivery.end_call()

    def settle(self) -> None:
        """Drop what was kept: it is syntax."""
        self._kept = ""
        self._settled = True

    def release(self) -> None:
        """Give out what was kept: it is content."""
        self._delivery.content(self._kept)
        self.settle()

    def _read(self, form: Form, chars: Chars) -> Reading[None]:
        yield from chars.next()
        yield from form.read(chars, self)

    def _end(self, unread: str) -> BlockEnd:
        kept = self._kept[:-1]
        # A closing marker that was not one may be the opening marker of the next block: that is worth a second look.
        return BlockEnd("", kept + unread) if self._settled else BlockEnd(kept, unread)
