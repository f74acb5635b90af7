"""A runner in closed form, with real buffers and no model.

What it stores for a token depends on the token, its place and the axis of the buffer; what it answers depends on every
byte that stands in the row up to the length it was told. So a wrong row, a lost move, a copied range that is off by one
or a wrong position all change the tokens that come out, and `expected_logits` says what should have come.

Memory that nobody may rely on (fresh, moved away, released) holds random bytes. Calls that the protocol forbids raise.
After `prefill_with_logits` a row may be said to hold less than was computed, down to the first of those tokens.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from obeaver.engine.runners.runner import WHOLE, KvBlock, KvLayout, KvShape, Logits, Part, RunnerInfo

NUM_LAYERS, NUM_HEADS, HEAD_DIM = 2, 1, 2
BYTES_PER_TOKEN = NUM_LAYERS * 2 * NUM_HEADS * HEAD_DIM * 8
VOCAB_SIZE = 32

_AXES = np.arange(NUM_LAYERS * 2 * NUM_HEADS * HEAD_DIM, dtype=np.int64).reshape(NUM_LAYERS, 2, NUM_HEADS, 1, HEAD_DIM)


def closed_form(token_ids: Sequence[int], start: int, *, odd: bool = False) -> npt.NDArray[np.int64]:
    """What tokens at places start, start+1, … leave in the buffers: [layers, 2, heads, tokens, dim].

    `odd` is what decoding leaves where it does not decode as prefill does.
    """
    ids = np.asarray(token_ids, dtype=np.int64)[:, np.newaxis]
    places = np.arange(start, start + len(token_ids), dtype=np.int64)[:, np.newaxis]
    return (ids * 1_000_003 + places * 8_191) * 64 + _AXES + 32 * odd


def logits_of(kv: npt.NDArray[np.int64]) -> Logits:
    """What follows a row that holds this: random, and a function of every byte."""
    digest = hashlib.blake2b(np.ascontiguousarray(kv).tobytes(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest)).standard_normal(VOCAB_SIZE, dtype=np.float32)


def expected_logits(prompt_ids: Sequence[int], output_ids: Sequence[int], *, decodes_as_prefill: bool = True) -> Logits:
    """What follows a prompt that was prefilled and an output that was decoded."""
    outputs = closed_form(output_ids, len(prompt_ids), odd=not decodes_as_prefill)
    return logits_of(np.concatenate([closed_form(prompt_ids, 0), outputs], axis=3))


class RunnerMisused(BaseException):
    """The engine did what the protocol forbids. No `Exception`, so that no handling of failures hides it."""


class FakeRunner:
    """The Runner protocol over one numpy array; `calls` counts what was computed.

    Args:
        context_length: Most tokens in a row.
        max_rows: Most rows.
        can_copy_kv: As in `RunnerInfo`.
        decodes_as_prefill: As in `RunnerInfo`. False makes decoding store something else than prefill.
        decodes_ahead: As in `RunnerInfo`. False makes several tokens at once store what prefill does.
        num_parts: As in `RunnerInfo`; 1 or 2. A part stores its own layers alone.
        fails: Asked before each call with the name of the method; true makes the call raise.
    """

    def __init__(
        self,
        *,
        context_length: int = 512,
        max_rows: int = 8,
        can_copy_kv: bool = True,
        decodes_as_prefill: bool = True,
        decodes_ahead: bool = True,
        num_parts: int = 1,
        fails: Callable[[str], bool] = lambda method: False,
    ) -> None:
        self.info = RunnerInfo(
            label="fake",
            vocab_size=VOCAB_SIZE,
            context_length=context_length,
            kv_bytes_per_token=BYTES_PER_TOKEN,
            max_rows=max_rows,
            can_copy_kv=can_copy_kv,
            decodes_as_prefill=decodes_as_prefill,
            decodes_ahead=decodes_ahead,
            gives_all_logits=True,
            kv_layout=KvLayout(NUM_LAYERS, NUM_HEADS, HEAD_DIM, "int64") if can_copy_kv else None,
            num_parts=num_parts,
        )
        self.shape = KvShape(0, 0)
        self.largest_bytes = 0
        self.prefill_runs: list[int] = []
        self.decode_runs: list[int] = []
        self.num_moves = 0
        self.num_swaps = 0
        self.is_closed = False
        self._fails = fails
        self._rng = np.random.default_rng(0)
        self._kv = self._garbage(0, 0)
        self._held: list[int] = []
        self._least: list[int] = []
        self._unfinished: tuple[tuple[int, ...], int, Part] | None = None

    @property
    def num_prefilled(self) -> int:
        """Prompt tokens that were computed."""
        return sum(self.prefill_runs)

    def resize(self, shape: KvShape, held: Sequence[int] | None = None) -> None:
        self._enter("resize")
        if held is not None:
            self._forget_beyond([*held, *[0] * (self.shape.rows - len(held))])
        rows, tokens = min(shape.rows, self.shape.rows), min(shape.tokens, self.shape.tokens)
        _require(shape.rows <= self.info.max_rows and shape.tokens <= self.info.context_length, f"{shape} is too large")
        _require(all(least <= shape.tokens for least in self._least[:rows]), f"{shape} cuts a row")
        _require(not any(self._held[rows:]), f"{shape} drops a row")
        kv = self._garbage(shape.rows, shape.tokens)
        kv[:rows, :, :, :, :tokens] = self._kv[:rows, :, :, :, :tokens]
        self._kv, self.shape = kv, shape
        self._held = [min(held, shape.tokens) for held in self._held[:rows]] + [0] * (shape.rows - rows)
        self._least = self._least[:rows] + [0] * (shape.rows - rows)
        self.largest_bytes = max(self.largest_bytes, shape.rows * shape.tokens * BYTES_PER_TOKEN)

    def move_row(self, source: int, target: int, num_tokens: int) -> None:
        self._enter("move_row")
        _require(source != target and self._held[target] == 0, f"row {target} is not free")
        _require(self._may_hold(source, num_tokens), f"row {source} holds {self._held[source]}, not {num_tokens}")
        self._kv[target, :, :, :, :num_tokens] = self._kv[source, :, :, :, :num_tokens]
        self._held[target] = self._least[target] = num_tokens
        self._clear(source)
        self.num_moves += 1

    def swap_rows(self, first: int, second: int, num_first: int, num_second: int) -> None:
        self._enter("swap_rows")
        _require(first != second, f"row {first} cannot change with itself")
        kept = []
        for row, num_tokens in ((first, num_first), (second, num_second)):
            _require(num_tokens > 0, "a free row is moved to, not changed with")
            _require(self._may_hold(row, num_tokens), f"row {row} holds {self._held[row]}, not {num_tokens}")
            kept.append(self._kv[row, ..., :num_tokens, :].copy())
            self._clear(row)
        for row, values in zip((second, first), kept, strict=True):
            num_tokens = values.shape[-2]
            self._kv[row, ..., :num_tokens, :] = values
            self._held[row] = self._least[row] = num_tokens
        self.num_swaps += 1

    def read_kv(self, row: int, start: int, stop: int) -> KvBlock:
        self._enter("read_kv")
        _require(self.info.can_copy_kv, "this runner cannot copy")
        _require(0 <= start < stop <= self._held[row], f"row {row} holds {self._held[row]}, not {start} to {stop}")
        return self._kv[row, :, :, :, start:stop].copy()

    def write_kv(self, row: int, start: int, block: KvBlock) -> None:
        self._enter("write_kv")
        _require(self.info.can_copy_kv, "this runner cannot copy")
        _require(start == self._held[row] or start == 0, f"row {row} holds {self._held[row]}, cannot write at {start}")
        stop = start + block.shape[3]
        self._kv[row, :, :, :, start:stop] = block
        self._held[row] = self._least[row] = stop

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
        self._enter("prefill")
        _require(len(token_ids) > 0, "an empty run")
        if part != WHOLE:
            return self._prefill_part(row, tuple(token_ids), start, want_logits, part)
        _require(
            start == 0 or self._may_hold(row, start), f"row {row} holds {self._held[row]}, cannot begin at {start}"
        )
        self._unfinished = None
        self._put(row, token_ids, start, odd=decoded and self.info.decodes_ahead and not self.info.decodes_as_prefill)
        self.prefill_runs.append(len(token_ids))
        return self._logits(row) if want_logits else None

    def _prefill_part(
        self, row: int, token_ids: tuple[int, ...], start: int, want_logits: bool, part: Part
    ) -> Logits | None:
        _require(part.total <= self.info.num_parts, f"{part} is more than {self.info.num_parts}")
        _require(part.is_last or not want_logits, "logits come out of the last part")
        stop = start + len(token_ids)
        if part.is_first:
            _require(start == 0 or self._may_hold(row, start), f"row {row} does not hold {start}")
            _require(stop <= self.shape.tokens, f"{stop} tokens do not fit into {self.shape}")
        else:
            before = Part(part.number - 1, part.total)
            _require(self._unfinished == (token_ids, start, before), f"{part} does not follow {self._unfinished}")
            _require(self._held[row] == stop, f"row {row} holds {self._held[row]}, not {stop}")
        layers = part.of(NUM_LAYERS)
        values = closed_form(token_ids, start)
        for layer in layers:
            self._kv[row, layer, :, :, start:stop] = values[layer]
        self._held[row], self._least[row] = stop, stop if part.is_last else start
        self._unfinished = None if part.is_last else (token_ids, start, part)
        if part.is_last:
            self.prefill_runs.append(len(token_ids))
        return self._logits(row) if want_logits else None

    def prefill_with_logits(
        self, row: int, token_ids: Sequence[int], start: int, *, decoded: bool = False, part: Part = WHOLE
    ) -> Logits:
        self._enter("prefill_with_logits")
        if part != WHOLE:
            self._prefill_part(row, tuple(token_ids), start, False, part)
            stops = range(start + 1, self._held[row] + 1)
            return np.stack([logits_of(self._kv[row, :, :, :, :stop]) for stop in stops])
        rows = [
            self.prefill(row, [token_id], place, True, decoded=decoded)
            for place, token_id in enumerate(token_ids, start)
        ]
        self._least[row] = start + 1
        return np.stack([logits for logits in rows if logits is not None])

    def decode(self, token_ids: Sequence[int], lengths: Sequence[int]) -> Logits:
        self._enter("decode")
        _require(len(token_ids) == len(lengths) > 0, "token ids and lengths do not agree")
        for row, (token_id, length) in enumerate(zip(token_ids, lengths, strict=True)):
            _require(length > 0 and self._may_hold(row, length), f"row {row} holds {self._held[row]}, not {length}")
            self._put(row, [token_id], length, odd=not self.info.decodes_as_prefill)
        self.decode_runs.append(len(token_ids))
        return np.stack([self._logits(row) for row in range(len(token_ids))])

    def release_row(self, row: int) -> None:
        self._enter("release_row")
        self._clear(row)

    def close(self) -> None:
        self.is_closed = True

    def _enter(self, method: str) -> None:
        _require(not self.is_closed, f"{method} after close")
        if self._fails(method):
            raise RuntimeError(f"{method} fails as the test wants")

    def _put(self, row: int, token_ids: Sequence[int], start: int, *, odd: bool = False) -> None:
        stop = start + len(token_ids)
        _require(stop <= self.shape.tokens, f"{stop} tokens do not fit into {self.shape}")
        self._kv[row, :, :, :, start:stop] = closed_form(token_ids, start, odd=odd)
        self._held[row] = self._least[row] = stop

    def _may_hold(self, row: int, num_tokens: int) -> bool:
        return self._least[row] <= num_tokens <= self._held[row]

    def _logits(self, row: int) -> Logits:
        return logits_of(self._kv[row, :, :, :, : self._held[row]])

    def _forget_beyond(self, held: Sequence[int]) -> None:
        """Nothing stays of rows but so many tokens."""
        _require(len(held) == self.shape.rows, f"{len(held)} rows are told of, {self.shape.rows} are there")
        for row, num_tokens in enumerate(held):
            _require(self._may_hold(row, num_tokens), f"row {row} holds {self._held[row]}, not {num_tokens}")
            self._cut(row, num_tokens)

    def _clear(self, row: int) -> None:
        self._cut(row, 0)
        self._least[row] = 0

    def _cut(self, row: int, num_tokens: int) -> None:
        self._kv[row, ..., num_tokens:, :] = self._garbage(1, self.shape.tokens)[0, ..., num_tokens:, :]
        self._held[row] = num_tokens

    def _garbage(self, rows: int, tokens: int) -> npt.NDArray[np.int64]:
        return self._rng.integers(0, 1 << 62, (rows, NUM_LAYERS, 2, NUM_HEADS, tokens, HEAD_DIM))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RunnerMisused(message)
