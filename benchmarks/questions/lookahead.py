"""Group `lookahead`: what computing ahead is worth on texts of several kinds. The same server with and without it.

How often a text repeats itself decides, so the texts are what people ask for, and answers end by themselves. Both
servers give the same answers.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from benchmarks.bench import Bench
from benchmarks.conductor import Question
from benchmarks.contenders.fleet import LONE
from benchmarks.contenders.servers import Server
from benchmarks.load import schedule
from benchmarks.load.chat_stream import stream_chat
from benchmarks.results.document import Metric

_PASSAGE = resources.files("obeaver.models").joinpath("texts", "evaluation.txt").read_text(encoding="utf-8")[:1500]
_CODE = inspect.getsource(schedule)
TEXTS: Mapping[str, Sequence[str]] = {
    "questions": (
        "Why is the sky blue?",
        "Write a short story about a beaver who builds a dam.",
        "What are the benefits of regular exercise?",
        "Explain how a transistor works.",
        "Give me a recipe for pancakes.",
        "Who was Ada Lovelace?",
    ),
    "code": (f"Add comments to this Python file:\n{_CODE}", f"Rename the functions in this Python file:\n{_CODE}"),
    "passages": (f"{_PASSAGE}\n\nQuote the sentences that matter most.", f"{_PASSAGE}\n\nSummarise this passage."),
}
_SAMPLING: Mapping[str, Mapping[str, Any]] = {
    "greedy": {"temperature": 0},
    "sampled": {"temperature": 0.8, "seed": 1},
}
_MAX_TOKENS = 160


def questions(bench: Bench) -> Iterator[Question]:
    """The questions of the group."""
    for kind, texts in TEXTS.items():
        for how, sampling in _SAMPLING.items():
            yield _decode(bench, kind, texts, how, sampling)


def _decode(bench: Bench, kind: str, texts: Sequence[str], how: str, sampling: Mapping[str, Any]) -> Question:
    name = f"lookahead-{kind}-{how}"
    metric = Metric(f"{name}.rate", f"decode, 1 stream, {kind}, {how}", "tok/s")

    async def ask(server: Server) -> Mapping[str, float]:
        num_tokens, spent_s = 0, 0.0
        for text in texts:
            messages = [{"role": "user", "content": text}]
            body = {"max_tokens": _MAX_TOKENS, "ignore_eos": False, **sampling}
            trace = await stream_chat(server.url, messages, model=server.model, **body)
            num_tokens += trace.num_tokens - 1
            spent_s += trace.arrivals[-1] - trace.arrivals[0]
        return {metric.id: num_tokens / spent_s}

    return bench.ask(name, "lookahead", [metric], ask, contenders=[bench.ours, *bench.fleet.variants(LONE)])
