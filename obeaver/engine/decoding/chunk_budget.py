"""How many prompt tokens a step may compute beside the streams that run."""

from dataclasses import dataclass

CHUNK_GRAIN = 16
"""Budgets beside running streams are multiples of this, and the first chunk of a step is no shorter."""


@dataclass(frozen=True, slots=True)
class ChunkBudget:
    """Prompt tokens in a step, counted as what a token costs at the beginning of a row.

    A stream notices a chunk by how much longer it takes than a decode step. On two cores a decode step of n rows costs
    about 8 + 1 n ms and prefill about 0.7 ms a token. `base + per_row x n` stays well below ten usual gaps: a step
    may also have to make room for the prompt's keys and values.

    Attention makes tokens dearer the further back they look: a chunk of 64 at place 2,000 was measured to take three
    times as long as one at place 0, one of 256 a little more than twice, so chunks become shorter on the way.

    Attributes:
        alone: Budget when nothing decodes.
        base: Budget beside running streams, before rows count.
        per_row: What each decoding row adds: its own step is longer.
        doubling: The place at which a token costs twice as much as at place 0.
    """

    alone: int = 256
    base: int = 26
    per_row: int = 7
    doubling: int = 1024

    def beside(self, num_decoding: int) -> int:
        """The budget of a step in which so many rows decode."""
        if num_decoding == 0:
            return self.alone
        wanted = (self.base + self.per_row * num_decoding) // CHUNK_GRAIN * CHUNK_GRAIN
        return max(1, min(self.alone, max(CHUNK_GRAIN, wanted)))

    def left_of(self, num_decoding: int, overspent: int) -> int:
        """The budget of a step after others took too much: 0 where the shortest chunk would take too much again."""
        budget = self.beside(num_decoding)
        left = budget - overspent
        return left if left >= min(budget, CHUNK_GRAIN) else 0

    def affordable(self, budget: int, start: int) -> int:
        """How many tokens from this place on a budget buys."""
        return budget * self.doubling // (self.doubling + start)

    def cost(self, num_tokens: int, start: int) -> int:
        """What so many tokens from this place on take of a budget."""
        return -(-num_tokens * (self.doubling + start) // self.doubling)
