"""The way out of the text layer: content passes the stop strings and loses blank edges; all of it becomes events."""

from collections.abc import Callable, Iterable

from obeaver.text.events import ContentDelta, ReasoningDelta, TextEvent, ToolCallArguments, ToolCallStart
from obeaver.text.hold_back import Patterns
from obeaver.text.reasoning import ReasoningText
from obeaver.text.stop_strings import StopStrings


class ContentEdges:
    """Drops white space that stands between a block (reasoning or a call) and the beginning or the end of the content.

    An answer that is nothing but a call has no content then, not a line break. White space waits until it is known what
    follows it; where an answer can have no blocks, nothing waits.
    """

    def __init__(self, *, active: bool) -> None:
        self._active = active
        self._blank = ""
        self._begun = False
        self._after_block = False

    def feed(self, text: str) -> str:
        """What can be sent."""
        if not self._active:
            return text
        body = text.rstrip()
        if not body:
            self._blank += text
            return ""
        ready = self._blank + body
        if self._after_block and not self._begun:
            ready = ready.lstrip()
        self._blank, self._begun, self._after_block = text[len(body) :], True, False
        return ready

    def block(self) -> None:
        """A block stands here."""
        self._after_block = True

    def flush(self) -> str:
        """The content has ended: the white space that belongs to it."""
        blank, self._blank = self._blank, ""
        return "" if self._after_block else blank


class Delivery:
    """Collects what an answer consists of, and hands it out as events, neighbours of a kind joined.

    Stop strings end the content that the client reads. Reasoning and calls are not searched: a stop string such as a
    line break would else end an answer in its first thought, or cut a call in two.

    Args:
        stop: The stop strings.
        may_have_blocks: Whether reasoning or calls may stand beside the content.
        new_call_id: Makes an id for each call.
        one_call: The answer ends with its first call.
        drops_content: The answer is nothing but calls, so what is no call is a call that was cut.
        drops_behind_calls: The same from its first call on.

    Attributes:
        stopped: A stop string or its only call has ended the answer; whatever comes now is dropped.
        num_calls: Calls announced so far.
    """

    def __init__(
        self,
        stop: Iterable[str] | Patterns,
        *,
        may_have_blocks: bool,
        new_call_id: Callable[[], str],
        one_call: bool = False,
        drops_content: bool = False,
        drops_behind_calls: bool = False,
    ) -> None:
        self._stop = StopStrings(stop)
        self._edges = ContentEdges(active=may_have_blocks)
        self._reasoning = ReasoningText()
        self._new_call_id = new_call_id
        self._events: list[TextEvent] = []
        self._kind: type[TextEvent] | None = None
        self._pieces: list[str] = []
        self._stop_token: str | None = None
        self._one_call = one_call
        self._drops_content = drops_content
        self._drops_behind_calls = drops_behind_calls
        self.num_calls = 0
        self.stopped = False

    @property
    def stop_string(self) -> str | None:
        """The stop string that has ended the answer, if one has."""
        return self._stop_token or self._stop.found

    def content(self, text: str) -> None:
        """Text for the user."""
        self._content(text, shown=True)

    def control(self, text: str) -> None:
        """A control token between the content: it is not shown, and may be part of a stop string."""
        self._content(text, shown=False)

    def _content(self, text: str, *, shown: bool) -> None:
        if self.stopped or self._drops_content or (self._drops_behind_calls and self.num_calls):
            return
        self._put(ContentDelta, self._edges.feed(self._stop.feed(text, shown=shown)))
        if self._stop.stopped:
            self._stop_here()

    def open_reasoning(self) -> None:
        """A block of reasoning begins."""
        self._edges.block()
        self._reasoning.open_block()

    def reasoning(self, text: str) -> None:
        """Text of the open block."""
        self._put(ReasoningDelta, self._reasoning.feed(text))

    def call(self, name: str) -> None:
        """A call begins."""
        if self.stopped:
            return
        self._edges.block()
        self._close_delta()
        self._events.append(ToolCallStart(self.num_calls, self._new_call_id(), name))
        self.num_calls += 1

    def arguments(self, text: str) -> None:
        """Text of the last call's arguments."""
        if not self.stopped:
            self._put(ToolCallArguments, text)

    def end_call(self) -> None:
        """The last call is complete."""
        if self._one_call and not self.stopped:
            self._stop_here()

    def finish(self) -> None:
        """The answer has ended: nothing has to wait any more."""
        self._put(ContentDelta, self._edges.feed(self._stop.flush()) + self._edges.flush())

    def take(self) -> list[TextEvent]:
        """The events since the last time."""
        self._close_delta()
        events, self._events = self._events, []
        return events

    def stop_at(self, stop_string: str) -> None:
        """A control token that is a stop string stands here."""
        self._stop_token = stop_string
        self._stop_here()

    def _stop_here(self) -> None:
        self.finish()
        self.stopped = True

    def _put(self, kind: type[TextEvent], text: str) -> None:
        if not text:
            return
        if kind is not self._kind:
            self._close_delta()
            self._kind = kind
        self._pieces.append(text)

    def _close_delta(self) -> None:
        text, self._pieces, kind, self._kind = "".join(self._pieces), [], self._kind, None
        if kind is ToolCallArguments:
            self._events.append(ToolCallArguments(self.num_calls - 1, text))
        elif kind is ReasoningDelta:
            self._events.append(ReasoningDelta(text))
        elif kind is ContentDelta:
            self._events.append(ContentDelta(text))
