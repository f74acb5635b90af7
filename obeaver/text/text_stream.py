"""Token ids in, events out: the one path from what a model samples to what a client reads.

    token ids ──decoder──> text ──AnswerReader──> content, reasoning, calls ──Delivery──> events

Text leaves as soon as it is known what it is. Only an unfinished character, the beginning of a stop string or of a
marker, white space at the edge of a block, and a call whose function is not yet known are held back.
"""

import random
import string
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Protocol

from obeaver.text.answer_reader import AnswerReader, Expected, Part
from obeaver.text.delivery import Delivery
from obeaver.text.events import TextEvent
from obeaver.text.harmony import HarmonyReader
from obeaver.text.hold_back import Patterns
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.stop_strings import StopTokens
from obeaver.text.tool_calls.dialects import DEFAULT_DIALECT, DIALECTS
from obeaver.text.tool_spec import ToolSpec

_ID_LETTERS = string.ascii_letters + string.digits
_ID_LENGTH = 24
_NO_STOP_TOKENS = StopTokens()
_NO_MARKERS: Mapping[int, str] = MappingProxyType({})


class Decoder(Protocol):
    """Token ids to text, one at a time. Control tokens have no text."""

    def push(self, token_id: int) -> str:
        """The text that this token completes; never ends inside a character."""

    def flush(self) -> str:
        """What is left of an unfinished character, as replacement characters. More tokens may follow."""


def random_call_id(source: random.Random) -> str:
    """`call_` and 24 random letters and digits."""
    return "call_" + "".join(source.choices(_ID_LETTERS, k=_ID_LENGTH))


class TextStream:
    """The text side of one sequence.

    Args:
        decoder: A fresh decoder of the model's tokenizer.
        stop: Strings that end the answer where they begin in its content.
        stop_tokens: The control tokens that they speak of.
        end_ids: Ids whose text is never shown.
        marker_text: Control tokens that are markers, with the text they stand for; a decoder drops control tokens.
        think: The model's think markers, if it has any.
        think_open: The prompt has opened the reasoning already.
        tool_dialect: Name of the dialect in which the model writes calls; the default one if not given.
        tools: The functions that it may call. Without any, calls are text like all else, and so are calls of others.
        parallel_tool_calls: If not, the answer ends with its first call.
        expected: What the answer is held to.
        thinks_again: Think markers count behind content too.
        new_call_id: Makes the ids of calls; random ones if not given.
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        stop: Iterable[str] | Patterns = (),
        stop_tokens: StopTokens = _NO_STOP_TOKENS,
        end_ids: Set[int] = frozenset(),
        marker_text: Mapping[int, str] = _NO_MARKERS,
        think: ThinkMarkers | None = None,
        think_open: bool = False,
        tool_dialect: str | None = None,
        tools: Sequence[ToolSpec] | None = None,
        parallel_tool_calls: bool = True,
        expected: Expected = Expected.TEXT,
        thinks_again: bool = True,
        new_call_id: Callable[[], str] | None = None,
    ) -> None:
        self._decoder = decoder
        self._end_ids = end_ids
        self._marker_text = marker_text
        self._stop_tokens = stop_tokens
        dialect = DIALECTS[tool_dialect or DEFAULT_DIALECT]
        has_blocks = think is not None or bool(tools) or dialect.channels is not None
        self._delivery = Delivery(
            stop,
            may_have_blocks=expected is not Expected.FORM and has_blocks,
            new_call_id=new_call_id or (lambda: random_call_id(random.SystemRandom())),
            one_call=not parallel_tool_calls,
            drops_content=expected is Expected.CALLS,
            drops_behind_calls=expected is Expected.FORM,
        )
        offered = {tool.name: tool for tool in tools or ()}
        self._reader: AnswerReader | HarmonyReader
        if dialect.channels and dialect.channels.has_headers:
            self._reader = HarmonyReader(self._delivery, think_open=think_open, tools=offered, expected=expected)
        else:
            self._reader = AnswerReader(
                self._delivery,
                think=think,
                think_open=think_open,
                dialect=dialect if tools else None,
                tools=offered,
                channels=dialect.channels,
                expected=expected,
                thinks_again=thinks_again,
            )
        self.num_reasoning_tokens = 0

    @property
    def stopped(self) -> bool:
        """Whether the answer has ended, by a stop string or its only call: the sequence need not go on."""
        return self._delivery.stopped

    @property
    def stop_string(self) -> str | None:
        """The stop string that has ended the answer, if one has."""
        return self._delivery.stop_string

    @property
    def num_tool_calls(self) -> int:
        """Calls announced so far."""
        return self._delivery.num_calls

    def push(self, token_id: int) -> list[TextEvent]:
        """Take the next token; after the stop, tokens change nothing."""
        if self.stopped:
            return []
        was_reasoning = self._reasoning
        if token_id in self._stop_tokens.whole:
            self._stop_at(self._stop_tokens.whole[token_id])
        elif token_id in self._stop_tokens.within and token_id not in self._marker_text:
            self._reader.feed(self._decoder.flush())
            self._reader.control(self._stop_tokens.within[token_id])
        else:
            self._reader.feed(self._text_of(token_id))
        self.num_reasoning_tokens += was_reasoning or self._reasoning
        return self._delivery.take()

    def finish(self) -> list[TextEvent]:
        """The sequence has ended: everything that waited."""
        if not self.stopped:
            self._flush()
            self._delivery.finish()
        return self._delivery.take()

    def _flush(self) -> None:
        self._reader.feed(self._decoder.flush())
        self._reader.finish()

    def _stop_at(self, stop_string: str) -> None:
        """A control token that is a stop string stands here, so what waited is text, if no other stopped in it."""
        self._flush()
        if not self._delivery.stopped:
            self._delivery.stop_at(stop_string)

    @property
    def _reasoning(self) -> bool:
        return self._reader.part is Part.REASONING

    def _text_of(self, token_id: int) -> str:
        if token_id in self._end_ids:
            return ""
        marker = self._marker_text.get(token_id)
        return self._decoder.push(token_id) if marker is None else self._decoder.flush() + marker
