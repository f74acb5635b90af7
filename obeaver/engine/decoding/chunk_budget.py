"""How many prompt tokens a step may compute beside the streams that run."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from obeaver.engine.decoding.plan import Move

CHUNK_GRAIN = 16
"""Budgets beside running streams are multiples of this."""

LEAST_CHUNK = 12
"""The first chunk of a step is no shorter. With AVX-512 onnxruntime multiplies 12 rows of floats at a time, and the
whole past is taken apart for fewer as well: behind 7,900 tokens, 4 tokens took 91 ms, 12 took 117, 16 took 134."""


@dataclass(frozen=True, slots=True)
class ChunkBudget:
    """Prompt tokens in a step, counted as what a token costs at the beginning of a row.

    A stream notices a chunk by how much longer it takes than a decode step. On two cores a decode step of n rows costs
    about 8 + 1 n ms and prefill about 0.7 ms a token, so a step with a chunk takes two to three usual ones; it may also
    have to make room for the prompt's keys and values. Beside 1.5 requests a second, budgets of 26 + 7 n tokens had
    gaps of 64 ms (p99) where 30 + 2 n have 44, with the same first tokens and as many requests done; chunks of 16
    tokens beside few streams spoiled both: a run costs much that does not depend on its length.

    Attention makes tokens dearer the further back they look: a chunk of 64 at place 2,000 was measured to take three
    times as long as one at place 0, one of 256 a little more than twice, so chunks become shorter on the way. But each
    takes the whole past apart, whatever its length. Where nobody decodes, only who comes next notices how long a chunk
    takes, so they may be longer there: a prompt of 7,500 tokens took 22.2 s in chunks as beside streams, 17.5 in such
    that take up to 0.4 s, and 15.7 in chunks of 256.

    Attributes:
        alone: Budget when nothing decodes.
        base: Budget beside running streams, before rows count.
        per_row: What each decoding row adds: its own step is longer.
        doubling: The place at which a token costs twice as much as at place 0.
        doubling_alone: The same where nothing decodes.
        moving: Tokens of a row that are copied to another in the time in which one is computed.
    """

    alone: int = 256
    base: int = 30
    per_row: int = 2
    doubling: int = 1024
    doubling_alone: int = 4096
    moving: int = 128

    def beside(self, num_decoding: int) -> int:
        """The budget of a step in which so many rows decode."""
        if num_decoding == 0:
            return self.alone
        wanted = (self.base + self.per_row * num_decoding) // CHUNK_GRAIN * CHUNK_GRAIN
        return max(1, min(self.alone, max(CHUNK_GRAIN, wanted)))

    def prices(self, num_decoding: int) -> "ChunkBudget":
        """What holds beside so many rows that decode."""
        return self if num_decoding else replace(self, doubling=self.doubling_alone)

    def left_of(self, num_decoding: int, spent: int) -> int:
        """What is left of the budget of a step: 0 where the shortest chunk would take too much again."""
        budget = self.beside(num_decoding)
        left = budget - spent
        return left if left >= min(budget, LEAST_CHUNK) else 0

    def affordable(self, budget: int, start: int) -> int:
        """How many tokens from this place on a budget buys."""
        return budget * self.doubling // (self.doubling + start)

    def cost(self, num_tokens: int, start: int) -> int:
        """What so many tokens from this place on take of a budget."""
        return -(-num_tokens * (self.doubling + start) // self.doubling)

    def num_parts(self, cost: int, budget: int, most: int) -> int:
        """In how many parts a chunk is computed that costs so much, in steps of this budget: a power of 2."""
        parts = 1
        while parts < most and cost > parts * budget:
            parts *= 2
        return parts

    def cost_of_moves(self, moves: Iterable[Move]) -> int:
        """What it takes of a budget that rows change their places."""
        return sum(move.num_tokens + move.num_back for move in moves) // self.moving
