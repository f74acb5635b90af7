"""Any decoder that onnxruntime-genai can load, behind the Runner protocol: one `og.Generator` for each row.

The library keeps each generator's keys and values itself, so rows are computed one after another, cannot be copied, and
cannot grow: a generator's length is fixed when it is made. A row that outgrows its own is computed anew in a longer
one. Buffers grow by large steps, so that happens rarely.
"""

import functools
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from obeaver import huge_pages
from obeaver.engine.runners.runner import WHOLE, KvBlock, KvShape, Logits, Part, RunnerInfo
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.engine.sessions.ort_session import placement_of, provider_options
from obeaver.engine.sessions.placement import Placement
from obeaver.engine.sessions.providers import CPU, ProviderChoice, choose_provider
from obeaver.engine.sessions.telemetry import TELEMETRY_OFF
from obeaver.errors import EngineFailed, ProviderError
from obeaver.onnx_outline import read_values
from obeaver.processor import EXACT_BYTE_PRODUCTS, byte_products_overflow
from obeaver.threads import default_threads

# The cache's element type does not stand in genai_config.json; float32 is the largest in use.
_KV_ELEMENT_BYTES = 4

_ANY_DECODER: Final = "decoder"
"""The library's name for a decoder of whichever family."""

# What it says of a family that it does not know, or knows with images alone, where it looks for more than one graph.
_UNKNOWN_FAMILY: Final = ("Unsupported model_type", "Loading a model package")
_DECODER_INPUT: Final = re.compile(r"input_ids|attention_mask|position_ids|past_key_values\.\d+\.(key|value)")


def open_genai_runner(
    folder: Path,
    *,
    context_length: int,
    vocab_size: int,
    threads: int | None = None,
    max_rows: int = 16,
    provider: ProviderChoice | None = None,
    decoder_graph: Path | None = None,
) -> "GenaiRunner":
    """Load a model folder.

    With a provider that is not the CPU's, the decoder is loaded twice, one after the other: first by onnxruntime alone,
    which can be asked what the provider takes of it; this library cannot.

    Args:
        folder: Holds genai_config.json and what it names.
        context_length: Most tokens a row may hold.
        vocab_size: Width of the logits that the sampler sees.
        threads: Physical cores by default: the library's own choice is one thread on some machines.
        max_rows: Most rows.
        provider: What computes; onnxruntime's CPU provider by default.
        decoder_graph: The .onnx file where one graph is the whole model; without it nobody knows what a provider takes.

    Raises:
        ProviderError: The provider takes nothing of the model.
        CannotRun: onnxruntime-genai does not load it.
    """
    os.environ.update(TELEMETRY_OFF)
    import onnxruntime_genai as og

    num_threads = threads or default_threads()
    choice = provider or choose_provider(CPU)
    placement = _placement(decoder_graph, choice)
    try:
        described = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))
        config = og.Config(str(folder))
        config.overlay(json.dumps(_session_options(num_threads)))
        _use_provider(config, choice, described, num_threads)
        model = _model(og, config, decoder_graph)
        huge_pages.use_soon()
    except CannotRun:
        raise
    except Exception as error:
        raise CannotRun(f"onnxruntime-genai cannot load it: {_first_line(error)}") from error
    info = RunnerInfo(
        label=f"onnxruntime-genai {og.__version__}, {placement}, {num_threads} threads",
        vocab_size=vocab_size,
        context_length=context_length,
        kv_bytes_per_token=_kv_bytes_per_token(described),
        max_rows=max_rows,
        can_copy_kv=False,
        placement=placement,
    )
    return GenaiRunner(og, model, info)


def _model(og: Any, config: Any, decoder_graph: Path | None) -> Any:
    """The model; one whose family the library does not know as any decoder, where its graph is one.

    Raises:
        CannotRun: The family is unknown, and the graph takes what nothing here fills.
    """
    try:
        return og.Model(config)
    except Exception as error:
        reason = _first_line(error)
        if decoder_graph is None or not any(words in reason for words in _UNKNOWN_FAMILY):
            raise
    names = (value.name for value in read_values(decoder_graph)[0])
    strange = next((name for name in names if not _DECODER_INPUT.fullmatch(name)), None)
    if strange is not None:
        raise CannotRun(f"onnxruntime-genai does not know its family, and its graph has an input {strange}")
    config.overlay(json.dumps({"model": {"type": _ANY_DECODER}}))
    return og.Model(config)


@dataclass(slots=True)
class _Row:
    """A generator, how many tokens it can hold, and which it holds."""

    generator: Any
    capacity: int
    token_ids: list[int] = field(default_factory=list)

    def append(self, token_ids: Sequence[int]) -> None:
        self.generator.append_tokens(list(token_ids))
        self.token_ids.extend(token_ids)


class GenaiRunner:
    """See the module. Made by `open_genai_runner`."""

    def __init__(self, og: Any, model: Any, info: RunnerInfo) -> None:
        self._og = og
        self._model = model
        self._info = info
        self._rows: list[_Row | None] = []
        self._capacity = 0

    @property
    def info(self) -> RunnerInfo:
        """What this runner is."""
        return self._info

    def resize(self, shape: KvShape, held: Sequence[int] | None = None) -> None:  # noqa: ARG002 - generators keep theirs
        """Take note of the new shape; rows grow when they need to."""
        self._rows = [*self._rows[: shape.rows], *[None] * (shape.rows - len(self._rows))]
        self._capacity = shape.tokens

    def move_row(self, source: int, target: int, num_tokens: int) -> None:
        """Hand the source's generator to the target; it must hold exactly `num_tokens`."""
        self._row(source, num_tokens)
        self._rows[target], self._rows[source] = self._rows[source], None

    def swap_rows(self, first: int, second: int, num_first: int, num_second: int) -> None:
        """Exchange the generators of two rows; they must hold exactly so many tokens."""
        self._row(first, num_first)
        self._row(second, num_second)
        self._rows[first], self._rows[second] = self._rows[second], self._rows[first]

    def read_kv(self, row: int, start: int, stop: int) -> KvBlock:
        """Not possible: the library keeps its keys and values to itself."""
        raise NotImplementedError("onnxruntime-genai does not hand out keys and values")

    def write_kv(self, row: int, start: int, block: KvBlock) -> None:
        """Not possible: the library keeps its keys and values to itself."""
        raise NotImplementedError("onnxruntime-genai does not take keys and values")

    def prefill(
        self,
        row: int,
        token_ids: Sequence[int],
        start: int,
        want_logits: bool,
        *,
        decoded: bool = False,  # noqa: ARG002 - the library knows one way
        part: Part = WHOLE,  # noqa: ARG002 - and runs a model as a whole
    ) -> Logits | None:
        """Compute consecutive tokens of one row."""
        if start == 0:
            self._rows[row] = None
            self._rows[row] = self._new_row()
        held = self._append(row, token_ids, start)
        return self._logits(held) if want_logits else None

    def prefill_with_logits(
        self, row: int, token_ids: Sequence[int], start: int, *, decoded: bool = False, part: Part = WHOLE
    ) -> Logits:
        """Not possible: the library keeps the last token's logits alone."""
        raise NotImplementedError("onnxruntime-genai gives the last token's logits alone")

    def decode(self, token_ids: Sequence[int], lengths: Sequence[int]) -> Logits:
        """Advance rows 0 to n-1 by one token each, one after another."""
        logits = np.empty((len(token_ids), self._info.vocab_size), np.float32)
        for row, (token_id, length) in enumerate(zip(token_ids, lengths, strict=True)):
            logits[row] = self._logits(self._append(row, [token_id], length))
        return logits

    def release_row(self, row: int) -> None:
        """Free the row's generator."""
        self._rows[row] = None

    def close(self) -> None:
        """Free the generators and the model."""
        self._rows = []
        self._model = None

    def _row(self, row: int, length: int) -> _Row:
        held = self._rows[row]
        if held is None or len(held.token_ids) != length:
            raise EngineFailed(f"Row {row} does not hold {length} tokens.")
        return held

    def _append(self, row: int, token_ids: Sequence[int], length: int) -> _Row:
        held = self._row(row, length)
        with _as_engine_failure():
            if length + len(token_ids) > held.capacity:
                held = self._longer(held)
            held.append(token_ids)
        self._rows[row] = held
        return held

    def _longer(self, held: _Row) -> _Row:
        """The same tokens in a row of today's capacity."""
        longer = self._new_row()
        longer.append(held.token_ids)
        return longer

    def _new_row(self) -> _Row:
        with _as_engine_failure():
            params = self._og.GeneratorParams(self._model)
            params.set_search_options(max_length=self._capacity)
            return _Row(self._og.Generator(self._model, params), self._capacity)

    def _logits(self, held: _Row) -> Logits:
        computed = held.generator.get_logits()
        last: Logits = computed.reshape(-1, computed.shape[-1])[-1].astype(np.float32)
        return last[: self._info.vocab_size]


@contextmanager
def _as_engine_failure() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EngineFailed("onnxruntime-genai could not compute a step.") from error


def _placement(graph: Path | None, choice: ProviderChoice) -> Placement:
    """What the provider takes of the graph."""
    if choice.is_cpu or graph is None:
        return Placement(choice.name, choice.device.kind)
    try:
        return placement_of(graph, choice)
    except ProviderError:
        raise
    except Exception as error:
        raise CannotRun(f"onnxruntime cannot load it on {choice.name}: {_first_line(error)}") from error


def _use_provider(config: Any, choice: ProviderChoice, described: dict[str, Any], num_threads: int) -> None:
    """Let the library use the provider; a folder that was made for it has options for it, which stay."""
    if choice.provider.library is not None:
        _register(choice.provider.package, choice.provider.library)
    session_options = described["model"]["decoder"].get("session_options", {})
    made_for = {name.lower() for options in session_options.get("provider_options", []) for name in options}
    if choice.name in made_for:
        return
    config.clear_providers()
    if choice.is_cpu:
        return
    config.append_provider(choice.name)
    for key, value in provider_options(choice, num_threads).items():
        config.set_provider_option(choice.name, key, value)


@functools.cache
def _register(package: str, library: str) -> None:
    """Load a plugin once: this library has providers of its own, beside those of onnxruntime's module."""
    import onnxruntime_genai as og

    og.register_execution_provider_library(package, library)


def _session_options(num_threads: int) -> dict[str, Any]:
    options: dict[str, Any] = {"intra_op_num_threads": num_threads}
    if byte_products_overflow():
        options[EXACT_BYTE_PRODUCTS] = "1"
    return {"model": {"decoder": {"session_options": options}}}


def _kv_bytes_per_token(config: dict[str, Any]) -> int:
    decoder = config.get("model", {}).get("decoder", {})
    sizes = [decoder.get(name) or 1 for name in ("num_hidden_layers", "num_key_value_heads", "head_size")]
    return 2 * _KV_ELEMENT_BYTES * int(np.prod(sizes))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
