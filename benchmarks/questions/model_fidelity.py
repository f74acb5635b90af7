"""Group `fidelity`: how far the logits of the model in use are from those of its float32 original.

The model is run as the server runs it, on the same provider and the same runner, over a text that nothing was
calibrated on. The original is the GGUF file that it was imported from; a model without one has no such figures.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.bench import Bench
from benchmarks.conductor import ContenderFailed, Measure, Question
from benchmarks.contenders.child import child
from benchmarks.results.document import Metric
from obeaver.config import Settings

if TYPE_CHECKING:
    from obeaver.engine.runners.runner import Runner


def questions(bench: Bench) -> Iterator[Question]:
    """The question of the group."""
    num_tokens = 256 if bench.options.quick else 1024
    reference = _Reference(bench, num_tokens)
    measures = {
        name: _measure(contender.folder, reference, Settings(**contender.facts["settings"]))
        for name, contender in bench.fleet.contenders.items()
        if contender.folder and not contender.asked
    }
    if measures:
        metrics = _metrics(f"over {num_tokens:,} tokens")
        yield Question("fidelity", "fidelity", metrics, measures, bench.ours, rounds=1, warm_up=False, exact=True)


def _metrics(where: str) -> list[Metric]:
    return [
        Metric("fidelity.mean_kl", f"mean KL divergence from float32 {where}", "nats", higher_is_better=False),
        Metric("fidelity.perplexity", f"perplexity {where}", "", higher_is_better=False),
        Metric("fidelity.perplexity_change", f"perplexity {where}, against float32", "%", higher_is_better=False),
        Metric("fidelity.same_top1", f"same likeliest token as float32 {where}", ""),
    ]


class Original:
    """The float32 model, in a process of its own: it writes its logits over a text to a file."""

    def write(self, source: Path, folder: Path, num_tokens: int, target: Path) -> int:
        """Logits [tokens, vocab_size], float32; how many tokens the text has."""
        from obeaver.models.gguf.streamed import original_logits

        ids = _text_ids(folder, num_tokens)
        np.save(target, np.concatenate(list(original_logits(source, ids))))
        return len(ids)


class RunnerLogits:
    """A runner, in a process of its own, against what `Original` wrote."""

    def compare(self, folder: Path, settings: Settings, num_tokens: int, reference: Path) -> dict[str, Any]:
        """The figures of `obeaver.models.fidelity.Fidelity`."""
        from obeaver.app.chat_engine import open_runner
        from obeaver.models.facts import read_facts
        from obeaver.models.fidelity import compare

        ids = _text_ids(folder, num_tokens)
        original = np.load(reference, mmap_mode="r")
        runner = open_runner(read_facts(folder), settings, [])
        try:
            pieces = [logits[:, : original.shape[1]] for logits in _logits(runner, ids)]
            return asdict(compare(_like(original, pieces), pieces, ids))
        finally:
            runner.close()


def _logits(runner: "Runner", ids: Sequence[int]) -> Iterator[Any]:
    """A runner's logits over a text, in pieces [tokens, vocab_size]."""
    from obeaver.engine.runners.runner import KvShape

    runner.resize(KvShape(1, len(ids) + 1))
    if runner.info.gives_all_logits:
        for start in range(0, len(ids), 128):
            yield runner.prefill_with_logits(0, ids[start : start + 128], start).copy()
        return
    first = runner.prefill(0, ids[:1], 0, True)
    assert first is not None
    yield first[None].copy()
    for place in range(1, len(ids)):
        yield runner.decode([ids[place]], [place]).copy()


def _like(original: Any, pieces: Sequence[Any]) -> Iterator[Any]:
    start = 0
    for piece in pieces:
        yield np.asarray(original[start : start + len(piece)])
        start += len(piece)


def _text_ids(folder: Path, num_tokens: int) -> list[int]:
    from obeaver.models.sample_text import EVALUATION, sample_ids

    return sample_ids(folder / "tokenizer.json", EVALUATION, limit=num_tokens)


class _Reference:
    """The original's logits, computed when the first contender is asked."""

    def __init__(self, bench: Bench, num_tokens: int) -> None:
        self._bench = bench
        self._wanted = num_tokens
        self.path: Path | None = None
        self.num_tokens = 0

    def ensure(self) -> Path:
        """The file.

        Raises:
            ContenderFailed: The model's original is not there.
        """
        if self.path is None:
            if self._bench.source is None:
                raise ContenderFailed("the float32 original of the model is not in the store")
            scratch = Path(self._bench.stack.enter_context(tempfile.TemporaryDirectory()))
            path = scratch / "original.npy"
            with child(Original) as original:
                self.num_tokens = original.call("write", self._bench.source, self._bench.folder, self._wanted, path)
            self.path = path
        return self.path


def _measure(folder: Path, reference: _Reference, settings: Settings) -> Measure:
    def measure() -> Mapping[str, float]:
        path = reference.ensure()
        with child(RunnerLogits) as runner:
            found = runner.call("compare", folder, settings, reference.num_tokens, path)
        change = 100 * (found["perplexity"] / found["reference_perplexity"] - 1)
        return {
            "fidelity.mean_kl": found["mean_kl"],
            "fidelity.perplexity": found["perplexity"],
            "fidelity.perplexity_change": change,
            "fidelity.same_top1": found["same_top1"],
        }

    return measure
