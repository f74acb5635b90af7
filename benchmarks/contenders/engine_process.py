"""Engines for a process of their own: obeaver's without HTTP, and onnxruntime-genai's two ways to run the same folder.

Greedy; end of text is ignored. Prompts are token ids. `og.Generator` and `og.Engine` are driven as their documentation
shows.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from obeaver.config import Settings


class EngineInProcess:
    """EngineCore over the runner that the server would choose, with the settings that the server has."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        from obeaver.app.chat_engine import make_engine
        from obeaver.models.facts import read_facts

        self._core = make_engine(read_facts(folder), settings, [])

    def decode(self, prompts: Sequence[list[int]], num_tokens: int) -> float:
        """Tokens a second of all streams together, once all of them run."""
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
        """Prompt tokens a second, up to the first token of the answer."""
        begin = time.perf_counter()
        self._admit([prompt], 1)
        while not self._core.step().advanced:
            pass
        rate = len(prompt) / (time.perf_counter() - begin)
        self._finish()
        return rate

    def _admit(self, prompts: Sequence[list[int]], max_tokens: int) -> None:
        from obeaver.engine.decoding.sequence import Sequence
        from obeaver.engine.sampling.sampling_params import SamplingParams

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
        """Tokens a second of one stream."""
        (prompt,) = prompts
        generator = self._generator(len(prompt) + num_tokens + 2)
        generator.append_tokens(prompt)
        generator.generate_next_token()
        begin = time.perf_counter()
        for _ in range(num_tokens):
            generator.generate_next_token()
        return num_tokens / (time.perf_counter() - begin)

    def prefill(self, prompt: list[int]) -> float:
        """Prompt tokens a second, up to the first token of the answer."""
        generator = self._generator(len(prompt) + 2)
        begin = time.perf_counter()
        generator.append_tokens(prompt)
        generator.generate_next_token()
        return len(prompt) / (time.perf_counter() - begin)

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


def _load_genai(folder: Path, threads: int) -> tuple[Any, Any]:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime_genai as og

    config = og.Config(str(folder))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
    return og, og.Model(config)
