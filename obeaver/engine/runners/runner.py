"""The Runner protocol: what the engine needs of a loaded model.

A runner owns the weights and the KV buffers: `rows` sequences side by side, `tokens` places each. It is told which row
holds how much; it keeps no queue, samples nothing, and decides nothing. All calls come from one thread.

Rows are compact: `decode` advances rows 0 to n-1 together, so that their keys and values are one contiguous block.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from obeaver.engine.sessions.placement import Placement

Logits = npt.NDArray[np.float32]
KvBlock = npt.NDArray[np.generic]
"""Keys and values of some consecutive tokens of one row: [num_layers, 2, num_kv_heads, num_tokens, head_dim]."""


class KvShape(NamedTuple):
    """Size of the KV buffers: rows, and places for tokens in each."""

    rows: int
    tokens: int


class KvLayout(NamedTuple):
    """What a token's keys and values look like in a `KvBlock`; `dtype` is numpy's name of the element type."""

    num_layers: int
    num_kv_heads: int
    head_dim: int
    dtype: str

    def block_shape(self, num_tokens: int) -> tuple[int, int, int, int, int]:
        """[num_layers, 2, num_kv_heads, num_tokens, head_dim]."""
        return (self.num_layers, 2, self.num_kv_heads, num_tokens, self.head_dim)


@dataclass(frozen=True, slots=True)
class RunnerInfo:
    """What a runner is, fixed while it lives.

    Attributes:
        label: For people: runner, provider, threads; `/health` shows it.
        vocab_size: Width of the logits.
        context_length: Most tokens a row may hold.
        kv_bytes_per_token: Bytes of one token's keys and values in all layers.
        max_rows: Most rows that `resize` accepts.
        can_copy_kv: Whether `read_kv` and `write_kv` work; without it there is no prefix cache.
        gives_all_logits: Whether `prefill_with_logits` works.
        decodes_as_prefill: Whether `decode` writes, to the bit, the keys and values that `prefill` would. Without it,
            what decoding wrote may serve no other prompt: the answer would depend on what was cached.
        decodes_ahead: Whether several tokens that are computed `decoded` at once leave, to the bit, what `decode` would
            one by one.
        placement: Which execution provider computes, and how much of the model.
        kv_layout: What `read_kv` gives; None where it does not work.
        num_parts: Most parts that a chunk of a prompt can be computed in, a power of 2.
    """

    label: str
    vocab_size: int
    context_length: int
    kv_bytes_per_token: int
    max_rows: int
    can_copy_kv: bool
    decodes_as_prefill: bool = False
    decodes_ahead: bool = False
    gives_all_logits: bool = False
    placement: Placement = field(default_factory=Placement)
    kv_layout: KvLayout | None = None
    num_parts: int = 1


class Part(NamedTuple):
    """A share of a decoder's layers.

    Attributes:
        number: Which one, in order, from 0.
        total: Of how many equal ones.
    """

    number: int
    total: int

    @property
    def is_first(self) -> bool:
        """Whether tokens come in here."""
        return self.number == 0

    @property
    def is_last(self) -> bool:
        """Whether logits come out here."""
        return self.number == self.total - 1

    def of(self, pieces: int) -> range:
        """Which of so many pieces, a multiple of `total`, it has."""
        return range(pieces * self.number // self.total, pieces * (self.number + 1) // self.total)


WHOLE: Final = Part(0, 1)
"""All layers."""


class Runner(Protocol):
    """A loaded decoder. Rows and positions are always within the last `resize`."""

    @property
    def info(self) -> RunnerInfo:
        """What this runner is."""

    def resize(self, shape: KvShape, held: Sequence[int] | None = None) -> None:
        """Make room for `shape`; what fits of the old contents stays where it was.

        Args:
            shape: Rows and places.
            held: Tokens in each row, the first ones; what lies beyond need not stay. None: all of it stays.
        """

    def move_row(self, source: int, target: int, num_tokens: int) -> None:
        """Copy the first tokens of row `source` over row `target`; afterwards `source` is free."""

    def swap_rows(self, first: int, second: int, num_first: int, num_second: int) -> None:
        """Exchange two rows, of which one holds `num_first` and the other `num_second` tokens."""

    def read_kv(self, row: int, start: int, stop: int) -> KvBlock:
        """A copy of the keys and values of tokens start to stop-1 of a row."""

    def write_kv(self, row: int, start: int, block: KvBlock) -> None:
        """Put a block back, its first token at place `start`."""

    def prefill(
        self,
        row: int,
        token_ids: Sequence[int],
        start: int,
        want_logits: bool,
        *,
        decoded: bool = False,
        part: Part = WHOLE,
    ) -> Logits | None:
        """Compute consecutive tokens of one row, the first at place `start` (0: the row begins anew).

        Args:
            row: Which row.
            token_ids: At least one.
            start: Place of the first.
            want_logits: Whether those of the last token are wanted.
            decoded: As `decode` would compute them, not as a prompt; see `RunnerInfo.decodes_ahead`.
            part: The layers to compute. All parts of a prompt's chunk are computed in order, the same tokens each time.
                Between them there may be steps of decoding, and the row may change its place, together with what it has
                of these tokens; no others of a prompt are computed.

        Returns:
            Logits of the last of these tokens, [vocab_size], if wanted. Valid until the next call.
        """

    def prefill_with_logits(
        self, row: int, token_ids: Sequence[int], start: int, *, decoded: bool = False, part: Part = WHOLE
    ) -> Logits:
        """As `prefill`, with the logits of all of these tokens; where there are several parts, of the last of them.

        Not all of them need to stay: the row may be told to go on behind any of them, and the rest is void.

        Returns:
            [num_tokens, vocab_size]. Valid until the next call.
        """

    def decode(self, token_ids: Sequence[int], lengths: Sequence[int]) -> Logits:
        """Advance rows 0 to n-1 by one token each.

        Args:
            token_ids: One token for each row.
            lengths: Tokens that each row holds already; the new one goes to that place.

        Returns:
            [n, vocab_size]. Valid until the next call.
        """

    def release_row(self, row: int) -> None:
        """The row's contents are not needed any more."""

    def close(self) -> None:
        """Give back weights and buffers. Idempotent."""
