"""Admission: does a sequence ever fit, does it fit now, and how large must the buffers be? Pure arithmetic.

A row is one contiguous range in each layer's buffer, so all rows are as long as the longest. A set of running sequences
that may grow to w1, w2, … tokens is therefore charged

    rows x capacity(max(w)) x bytes_per_token        with capacity(t) = t rounded up to GRANULE, at most the context

and a sequence is admitted when that stays within the budget, counted with the prompt and *all* of `max_tokens`. Whoever
was admitted can hence always go on: nothing is ever preempted, and no two sequences can wait for each other's memory.

What is charged is not what is allocated. Buffers follow the need, in steps that grow geometrically so that copying
costs a constant per token, and never pass the budget.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from obeaver.engine.runners.runner import KvShape
from obeaver.errors import ContextLengthExceeded

GRANULE = 128
"""Capacities are multiples of this many tokens."""

TOKEN_GROWTH = 1.5
"""A row that must grow becomes at least so many times longer."""

ROW_GROWTH = 2
"""When rows are added, the buffers get at least so many times the rows."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The limits of one engine.

    Attributes:
        context_length: Most tokens in a row, by the model.
        bytes_per_token: Bytes of one token's keys and values.
        max_rows: Most sequences that run together.
        budget_bytes: Bytes that the row buffers may take.
    """

    context_length: int
    bytes_per_token: int
    max_rows: int
    budget_bytes: int

    def __post_init__(self) -> None:
        if min(self.context_length, self.bytes_per_token, self.max_rows) < 1:
            raise ValueError("context length, bytes per token and rows must be positive")

    @property
    def longest_row(self) -> int:
        """Most tokens that a sequence can ever hold: what the context and the budget allow for one row."""
        affordable = self.budget_bytes // self.bytes_per_token
        if affordable >= self.context_length:
            return self.context_length
        return affordable // GRANULE * GRANULE

    @property
    def smallest(self) -> KvShape:
        """The buffers of an idle engine."""
        return KvShape(1, self.capacity(1))

    def room_for(self, num_prompt: int) -> int:
        """Tokens of answer that a prompt of this length leaves; not positive: it never fits."""
        return self.longest_row - num_prompt

    def check(self, num_prompt: int, max_tokens: int) -> None:
        """Refuse what can never fit.

        Raises:
            ContextLengthExceeded: With both numbers in its message.
        """
        if self.room_for(num_prompt) < max_tokens:
            is_whole = self.longest_row == self.context_length
            reason = "" if is_whole else f", of {self.context_length} for which the memory set aside does not suffice"
            # Clients look for these words of OpenAI's, and shorten their history.
            raise ContextLengthExceeded(
                f"This model's maximum context length is {self.longest_row} tokens{reason}. "
                f"The prompt has {num_prompt} and the answer needs {max_tokens} more. Shorten the prompt."
            )

    def capacity(self, num_tokens: int) -> int:
        """Places that a row of so many tokens is given."""
        return min(-(-num_tokens // GRANULE) * GRANULE, self.context_length)

    def num_bytes(self, shape: KvShape) -> int:
        """Bytes of buffers of this shape."""
        return shape.rows * shape.tokens * self.bytes_per_token

    def fits(self, shape: KvShape) -> bool:
        """Whether buffers of this shape stay within rows and bytes."""
        return shape.rows <= self.max_rows and self.num_bytes(shape) <= self.budget_bytes

    def reserved(self, worst_cases: Iterable[int]) -> KvShape:
        """The shape that sequences are charged which may grow to these numbers of tokens."""
        lengths = tuple(worst_cases)
        return KvShape(len(lengths), self.capacity(max(lengths, default=1)))

    def next_shape(self, current: KvShape, needed: KvShape, reserved: KvShape) -> KvShape:
        """The buffers for a step that needs `needed`, where the running sequences may come to need `reserved`.

        Buffers that suffice are kept; an idle engine (no rows needed) gives them back. Room for growth is taken while
        the budget allows; `needed` itself always fits, because `reserved` was admitted.
        """
        if needed.rows == 0:
            return self.smallest
        if needed.rows <= current.rows and needed.tokens <= current.tokens:
            return current
        tight = KvShape(needed.rows, self.capacity(needed.tokens))
        rows = current.rows if tight.rows <= current.rows else max(tight.rows, current.rows * ROW_GROWTH)
        roomy = KvShape(min(rows, self.max_rows), self._longer(current.tokens, needed.tokens, reserved.tokens))
        candidates = (roomy, KvShape(tight.rows, roomy.tokens), KvShape(roomy.rows, tight.tokens))
        return next(filter(self.fits, candidates), tight)

    def _longer(self, current: int, needed: int, reserved: int) -> int:
        if needed <= current:
            return current
        return self.capacity(max(needed, min(int(current * TOKEN_GROWTH), reserved)))
