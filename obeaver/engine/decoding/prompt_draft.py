"""The prompts' part of a step while it is planned."""

from dataclasses import replace

from obeaver.engine.decoding.chunk_budget import LEAST_CHUNK, ChunkBudget
from obeaver.engine.decoding.plan import PrefillChunk, PrefixSource
from obeaver.engine.decoding.sequence import Sequence
from obeaver.engine.runners.runner import Part
from obeaver.engine.sampling.logprobs import ROWS_AT_ONCE

MIN_START = 32
"""A prompt starts with at least so many tokens, or with all it has. A smaller run costs about as much,
and is charged as much.

Else 128 prompts that differ in their last token would all begin beside running streams in as few steps as rows allow,
a dozen runs in each, and the streams would wait for all of them.
"""


_SHARE_WITH_LOGPROBS = (2, 3)
"""Of the tokens of a chunk in parts. The last part has more to do: the logits of all of them, and what these say."""


class PromptDraft:
    """Rows as they will stand, and what is left of the budget.

    Args:
        layout: Who has a row already, in order.
        budgets: Of steps, and what tokens cost.
        num_decoding: Streams that wait for the end of the step.
        spent: What is taken of the budget before the first chunk.
        most_parts: In how many parts a chunk can be computed.

    Attributes:
        budget: What is left for further chunks; not positive for none.
        chunks: In the order in which they will be computed.
        spent: With what the chunks take.
    """

    def __init__(
        self, layout: list[Sequence], budgets: ChunkBudget, num_decoding: int, spent: int = 0, most_parts: int = 1
    ) -> None:
        self.layout = layout
        self.budget = budgets.left_of(num_decoding, spent)
        self.chunks: list[PrefillChunk] = []
        self.spent = spent
        self._budgets = budgets
        self._prices = budgets.prices(num_decoding)
        self._num_streams = num_decoding
        self._most_parts = most_parts if num_decoding else 1

    def is_worth_starting(self, num_tokens: int, start: int) -> bool:
        """Whether the rest of the budget is more than a scrap for so many tokens from this place on."""
        return not self.chunks or self._affordable(num_tokens, start) >= min(num_tokens, MIN_START)

    def completes(self, sequence: Sequence) -> bool:
        """Whether the budget is enough for the rest of a prompt."""
        return self._affordable(num_left(sequence), sequence.num_computed) >= num_left(sequence)

    def go_on(self, sequence: Sequence) -> None:
        """Spend the budget on a prompt that is half done, unless what is left of it is a scrap."""
        start = sequence.num_computed
        if self.budget > 0 and self.is_worth_starting(num_left(sequence), start):
            self.compute(sequence, self.layout.index(sequence), start, None)

    def compute(self, sequence: Sequence, row: int, start: int, source: PrefixSource | None) -> None:
        """Spend the budget on the prompt from here on; a chunk has no output beside prompt.

        A prompt that stays half done takes all of it. What it cannot use is less than a token costs so far back, or
        what its output would take, which has a chunk of its own: no more than two prompts are half done.
        """
        is_output = start >= sequence.num_prompt
        end = len(sequence.fill_ids) if is_output else sequence.num_prompt
        num_tokens, total = self._affordable(len(sequence.fill_ids) - start, start), 1
        if self._most_parts > 1 and not self.chunks and not is_output:
            num_tokens, total = self._in_parts(sequence, num_tokens, end, start)
        ids = sequence.fill_ids[start : min(end, start + num_tokens)]
        is_last = start + len(ids) == len(sequence.fill_ids)
        cost = self._spend(len(ids), start, total)
        self.budget = self.budget - max(MIN_START, cost) if is_last and total == 1 else 0
        self._num_streams += is_last
        is_again = bool(sequence.output_ids)
        part = Part(0, total)
        self.chunks.append(PrefillChunk(sequence.id, row, ids, start, is_last, source, is_again, is_output, part))

    def next_part(self, chunk: PrefillChunk, row: int) -> None:
        """Go on with a chunk of which some layers were computed; nobody else begins in this step."""
        number, total = chunk.part
        self._spend(len(chunk.token_ids), chunk.start, total)
        self.budget = 0
        self.chunks.append(replace(chunk, row=row, part=Part(number + 1, total)))

    def _spend(self, num_tokens: int, start: int, total: int) -> int:
        """Count one of so many parts of a chunk; what it costs."""
        cost = -(-self._prices.cost(num_tokens, start) // total)
        self.spent += cost
        return cost

    def _in_parts(self, sequence: Sequence, num_tokens: int, end: int, start: int) -> tuple[int, int]:
        """A chunk for several steps, each of which computes some layers of it: how many tokens, and in how many parts.

        Far back each run takes the whole past apart, for a few tokens as for the shortest chunk. So it does that for
        some layers, and for more tokens at once.
        """
        most = self._prices.affordable(self.budget * self._most_parts, start)
        if sequence.params.num_prompt_logprobs is not None:
            most = min(most * _SHARE_WITH_LOGPROBS[0] // _SHARE_WITH_LOGPROBS[1], ROWS_AT_ONCE)
        num_tokens = max(num_tokens, min(most, end - start))
        cost = self._prices.cost(max(min(num_tokens, end - start), LEAST_CHUNK), start)
        return num_tokens, self._prices.num_parts(cost, self.budget, self._most_parts)

    def _affordable(self, num_tokens: int, start: int) -> int:
        """Tokens of the next chunk, of `num_tokens` that a prompt has left from this place on.

        The first of a step is never so short that the prompt crawls. Where others were done before, a piece of a long
        one is no longer than beside streams: the first tokens of those are told at the end of the step.
        """
        tokens = self._prices.affordable(self.budget, start)
        if not self.chunks:
            return max(tokens, min(self.budget, LEAST_CHUNK))
        if tokens >= num_tokens:
            return tokens
        return min(tokens, self._budgets.affordable(self._budgets.beside(self._num_streams), start))


def num_left(sequence: Sequence) -> int:
    """Tokens of its prompt that a sequence has not computed."""
    return len(sequence.fill_ids) - sequence.num_computed
