"""How fast is the engine in process, beside onnxruntime-genai's own two ways to run the same folder?

    python -m benchmarks.engine                           # the default model
    python -m benchmarks.engine --model ./folder --rounds 5
    python -m benchmarks.engine --peer-model ./other      # what onnxruntime-genai loads, where it cannot take the first

Each contender lives in a process of its own and they take turns, question by question and round by round. Greedy; end
of text is ignored. The engine samples with its own sampler through `EngineCore.step`; `og.Generator` and `og.Engine`
are driven as their documentation shows, with all threads.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
from tqdm import tqdm

from benchmarks import environment, report

OURS, GENERATOR, ENGINE = "obeaver", "og.Generator", "og.Engine"
STREAMS, PREFILLS, CONTEXTS = (1, 2, 4, 8, 16), (128, 512, 2048), (1024, 4096)
SHORT_PROMPT, NUM_TOKENS = 48, 64


class Contender(Protocol):
    """Something that runs a model in this process. Prompts are token ids."""

    def decode(self, prompts: Sequence[list[int]], num_tokens: int) -> float:
        """Tokens a second of all streams together, after the prompts were read."""

    def prefill(self, prompt: list[int]) -> float:
        """Prompt tokens a second, up to the first token of the answer."""


class Obeaver:
    """EngineCore over the runner that the server would choose."""

    def __init__(self, folder: Path, threads: int) -> None:
        from obeaver.app.chat import make_engine
        from obeaver.config import Settings
        from obeaver.models.facts import read_facts

        facts = read_facts(folder)
        self._core = make_engine(facts, Settings(threads=threads, prefix_cache_mb=0), [])

    def decode(self, prompts: Sequence[list[int]], num_tokens: int) -> float:
        """All streams are admitted, then steps are timed until the first one ends."""
        self._admit(prompts, num_tokens + len(prompts) + 1)
        while len(self._core.step().advanced) < len(prompts):
            pass
        begin = time.perf_counter()
        for _ in range(num_tokens):
            self._core.step()
        spent_s = time.perf_counter() - begin
        self._finish()
        return len(prompts) * num_tokens / spent_s

    def prefill(self, prompt: list[int]) -> float:
        """From `add` to the first token."""
        begin = time.perf_counter()
        self._admit([prompt], 1)
        while not self._core.step().advanced:
            pass
        rate = len(prompt) / (time.perf_counter() - begin)
        self._finish()
        return rate

    def _admit(self, prompts: Sequence[list[int]], max_tokens: int) -> None:
        from obeaver.engine.sequence import SamplingParams, Sequence

        for index, prompt in enumerate(prompts):
            self._core.add(Sequence(index, tuple(prompt), SamplingParams(max_tokens=max_tokens, temperature=0.0)))

    def _finish(self) -> None:
        while self._core.has_work:
            self._core.step()


class OgGenerator:
    """One `og.Generator` for each prompt: it has no batching of sequences that differ in length."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._og, self._model = _load_genai(folder, threads)

    def decode(self, prompts: Sequence[list[int]], num_tokens: int) -> float:
        """One stream only."""
        (prompt,) = prompts
        generator = self._started(prompt, num_tokens + 2)
        generator.generate_next_token()
        begin = time.perf_counter()
        for _ in range(num_tokens):
            generator.generate_next_token()
        return num_tokens / (time.perf_counter() - begin)

    def prefill(self, prompt: list[int]) -> float:
        """From `append_tokens` to the first token."""
        generator = self._generator(len(prompt) + 2)
        begin = time.perf_counter()
        generator.append_tokens(prompt)
        generator.generate_next_token()
        return len(prompt) / (time.perf_counter() - begin)

    def _started(self, prompt: list[int], num_tokens: int) -> Any:
        generator = self._generator(len(prompt) + num_tokens)
        generator.append_tokens(prompt)
        return generator

    def _generator(self, max_length: int) -> Any:
        params = self._og.GeneratorParams(self._model)
        params.set_search_options(max_length=max_length, min_length=max_length, do_sample=False)
        return self._og.Generator(self._model, params)


class OgEngine:
    """`og.Engine`: requests that it batches as it sees fit."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._og, model = _load_genai(folder, threads)
        self._engine = self._og.Engine(model)

    def decode(self, prompts: Sequence[list[int]], num_tokens: int) -> float:
        """Tokens of all requests over the time from the first token to the last."""
        requests = [self._begin(prompt, num_tokens) for prompt in prompts]
        events, count, begin = self._engine.create_event_buffer(64), 0, 0.0
        while count < num_tokens * len(prompts):
            for event in self._engine.run(events):
                if event.flags.value & self._og.EngineEventFlags.TOKEN.value:
                    begin = begin or time.perf_counter()
                    count += 1
        spent_s = time.perf_counter() - begin
        for request in requests:
            request.close()
        return count / spent_s

    def _begin(self, prompt: list[int], num_tokens: int) -> Any:
        request = self._engine.create_request()
        turn = self._og.TurnOptions(request)
        turn.set_do_sample(False)
        turn.set_min_generated_tokens(num_tokens)
        turn.set_max_generated_tokens(num_tokens)
        request.begin_turn(np.array(prompt, np.int32), turn)
        return request

    def prefill(self, prompt: list[int]) -> float:
        """Not asked: the model computes a prompt as `og.Generator` does."""
        raise NotImplementedError


CONTENDERS: dict[str, type[Obeaver] | type[OgGenerator] | type[OgEngine]] = {
    OURS: Obeaver,
    GENERATOR: OgGenerator,
    ENGINE: OgEngine,
}


def _load_genai(folder: Path, threads: int) -> tuple[Any, Any]:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime_genai as og

    config = og.Config(str(folder))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
    return og, og.Model(config)


def _serve(pipe: Connection, name: str, folder: Path, threads: int) -> None:
    """The child's loop: (method, arguments) in, a figure or the text of an error out."""
    contender: Contender = CONTENDERS[name](folder, threads)
    pipe.send("ready")
    while (call := pipe.recv()) is not None:
        method, arguments = call
        try:
            pipe.send(getattr(contender, method)(*arguments))
        except Exception as error:  # noqa: BLE001 - told to the parent, which shows it
            pipe.send(f"{type(error).__name__}: {error}")
    pipe.close()


@contextlib.contextmanager
def _process(name: str, folder: Path, threads: int) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs, name, folder, threads), daemon=True)
    child.start()
    theirs.close()
    try:
        ours.recv()
        yield ours
        ours.send(None)
        child.join(10)
    finally:
        child.kill()


def main() -> int:
    """Measure, print, write JSON and a plot."""
    arguments = _parse()
    folders = {OURS: arguments.model, GENERATOR: arguments.peer_model, ENGINE: arguments.peer_model}
    source = random.Random(0)
    with contextlib.ExitStack() as stack:
        pipes = {name: stack.enter_context(_process(name, folders[name], arguments.threads)) for name in CONTENDERS}
        rows = [_measure(row, asked, arguments.rounds, pipes, source) for row, asked in _questions()]
    report.print_table(rows, OURS)
    out = Path(arguments.out)
    report.write_json(out / "engine.json", __doc__.splitlines()[0], environment.describe(), rows)
    report.write_plot(out / "engine.svg", "In process, medians", rows)
    tqdm.write(f"written: {out / 'engine.json'}, {out / 'engine.svg'}")
    return 0


def _questions() -> Iterator[tuple[report.Row, tuple[str, int, int, tuple[str, ...]]]]:
    """Rows with (method, streams, prompt length, contenders)."""
    for streams in STREAMS:
        asked = (OURS, GENERATOR, ENGINE) if streams == 1 else (OURS, ENGINE)
        yield report.Row(f"decode, {streams} streams", "tok/s"), ("decode", streams, SHORT_PROMPT, asked)
    for length in CONTEXTS:
        yield report.Row(f"decode at context {length:,}", "tok/s"), ("decode", 1, length, (OURS, GENERATOR))
    for length in PREFILLS:
        yield report.Row(f"prefill, {length:,} tokens", "tok/s"), ("prefill", 1, length, (OURS, GENERATOR))


def _measure(
    row: report.Row,
    asked: tuple[str, int, int, tuple[str, ...]],
    rounds: int,
    pipes: dict[str, Connection],
    source: random.Random,
) -> report.Row:
    method, streams, length, contenders = asked
    for counted in tqdm([False] + [True] * rounds, desc=row.question, leave=False):
        for name in contenders:
            prompts = [[source.randrange(1000, 40000) for _ in range(length)] for _ in range(streams)]
            pipes[name].send((method, (prompts, NUM_TOKENS) if method == "decode" else (prompts[0],)))
            figure = pipes[name].recv()
            if isinstance(figure, str):
                raise SystemExit(f"{name}, {row.question}: {figure}")
            if counted:
                row.values.setdefault(name, []).append(figure)
    return row


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="a model folder (default: the default model)")
    parser.add_argument("--peer-model", type=Path, help="the folder for onnxruntime-genai (default: the same)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each question (default 3)")
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument("--out", default="benchmarks/out", help="folder for JSON and plot")
    arguments = parser.parse_args()
    arguments.model = arguments.model or _default_folder()
    arguments.peer_model = arguments.peer_model or arguments.model
    return arguments


def _default_folder() -> Path:
    from obeaver.config import load_settings
    from obeaver.models.progress import TerminalProgress
    from obeaver.models.pull import ensure_model
    from obeaver.models.store import Store

    store = Store(load_settings({}, os.environ).home)
    return ensure_model("smollm2-135m", store, progress=TerminalProgress()).folder


if __name__ == "__main__":
    sys.exit(main())
