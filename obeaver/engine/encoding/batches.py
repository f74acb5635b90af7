"""Which texts are computed together: a pure queue of requests, cut into batches by a budget of tokens.

Three rules, in this order:

- *Fair*: requests take turns. Each batch is begun by the request whose turn it is, so a request waits for at most one
  batch of every other, however many texts those have.
- *Full*: the rest of the budget goes to texts of all requests, again in turns, one text each.
- *Dense*: where padding costs work, only texts of about the first one's length may join. Each request's texts are
  taken from the longest to the shortest, which brings like lengths together; results say which text they belong to.

Each text of a batch is at most as long as the first.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

MAX_PADDING: Final = 0.2
"""What a graph that computes its padding can bear: the average is a few per cent."""


class TokenisedText(NamedTuple):
    """One input of the model.

    Attributes:
        ids: Token ids, those that begin and end a text included; at least one.
        type_ids: Segment of each token; empty: all of them are of segment 0.
        num_prompt: Tokens at the beginning that the vector must leave out.
    """

    ids: Sequence[int]
    type_ids: Sequence[int] = ()
    num_prompt: int = 0


class BatchItem(NamedTuple):
    """One row of a batch.

    Attributes:
        request_id: Whose text it is.
        place: The text's index in its request.
        text: The text.
    """

    request_id: int
    place: int
    text: TokenisedText


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large a batch may be. A text beyond them runs alone.

    Attributes:
        max_tokens: Tokens to compute.
        max_padded_tokens: Rows times the longest row.
        max_rows: Texts; 1 where a text's result would depend on its neighbours.
        max_padding: Share of a row that may be padding.
    """

    max_tokens: int
    max_padded_tokens: int
    max_rows: int
    max_padding: float = MAX_PADDING


class _Waiting:
    """The texts of one request that have not been computed, shortest first."""

    def __init__(self, request_id: int, texts: Sequence[TokenisedText]) -> None:
        self.request_id = request_id
        self.texts = texts
        self._order = sorted((len(text.ids), index) for index, text in enumerate(texts))

    def __len__(self) -> int:
        return len(self._order)

    @property
    def longest(self) -> int:
        return self._order[-1][0]

    def longest_up_to(self, length: int) -> int:
        """The length of the longest text that is no longer than this; 0 if there is none."""
        at = bisect_left(self._order, (length + 1, -1))
        return self._order[at - 1][0] if at else 0

    def take(self, length: int) -> BatchItem:
        """Take a text of exactly this length."""
        _, index = self._order.pop(bisect_left(self._order, (length + 1, -1)) - 1)
        return BatchItem(self.request_id, index, self.texts[index])


class _Batch:
    """A batch while it is filled. Its first text is its longest."""

    def __init__(self, limits: BatchLimits, first: BatchItem) -> None:
        self.items = [first]
        self._limits = limits
        self._longest = self._num_tokens = len(first.text.ids)
        self._shortest = max(1, math.ceil(self._longest * (1 - limits.max_padding)))

    def add_from(self, waiting: _Waiting) -> bool:
        """Add the longest text that fits; False if none does."""
        length = waiting.longest_up_to(self._room())
        if length < self._shortest:
            return False
        self.items.append(waiting.take(length))
        self._num_tokens += length
        return True

    def _room(self) -> int:
        """The longest text that still fits; not positive: none does."""
        limits, num_rows = self._limits, len(self.items) + 1
        if num_rows > limits.max_rows or num_rows * self._longest > limits.max_padded_tokens:
            return 0
        return min(self._longest, limits.max_tokens - self._num_tokens)


class BatchQueue:
    """Requests that wait, and the batches they are cut into."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._turns: deque[_Waiting] = deque()

    def __bool__(self) -> bool:
        return bool(self._turns)

    @property
    def num_texts(self) -> int:
        """Texts that wait."""
        return sum(map(len, self._turns))

    def add(self, request_id: int, texts: Sequence[TokenisedText]) -> None:
        """Queue a request of at least one text."""
        self._turns.append(_Waiting(request_id, texts))

    def drop(self, request_ids: Iterable[int]) -> None:
        """Forget what waits of some requests."""
        gone = set(request_ids)
        self._turns = deque(waiting for waiting in self._turns if waiting.request_id not in gone)

    def next_batch(self) -> list[BatchItem]:
        """Take the texts to compute next; something must wait."""
        first = self._turns[0]
        batch = _Batch(self._limits, first.take(first.longest))
        joining = [*list(self._turns)[1:], first]
        while joining:
            joining = [waiting for waiting in joining if batch.add_from(waiting)]
        self._turns.rotate(-1)
        self._turns = deque(waiting for waiting in self._turns if len(waiting))
        return batch.items
