"""The default model in the test's own process: its logits, without engine, sampler or server."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np

from obeaver.engine.runners.ort_runner import open_ort_runner
from obeaver.engine.runners.runner import KvShape, Logits
from obeaver.text.tokenizer import Tokenizer

MAX_TOKENS = 512

Adjust = Callable[[Logits, Sequence[int]], Logits]
"""(logits, output so far) -> the logits to choose from."""


class ReferenceModel:
    """A model folder's decoder and tokenizer."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = Tokenizer.from_folder(folder)
        self._runner = open_ort_runner(folder / "model.onnx", context_length=MAX_TOKENS)
        self._runner.resize(KvShape(1, MAX_TOKENS))
        self._ids = {self.tokenizer.token_bytes(i): i for i in range(self.tokenizer.vocab_size)}
        assert len(self._ids) == self.tokenizer.vocab_size, "two tokens stand for the same bytes"

    def id_of_bytes(self, token: Sequence[int]) -> int:
        """The token that stands for these bytes."""
        return self._ids[bytes(token)]

    def logprobs_in(self, prompt_ids: Sequence[int]) -> Iterator[Logits]:
        """Log-probabilities of every token of the vocabulary before each token of a prompt but the first."""
        for stop in range(1, len(prompt_ids)):
            yield _log_softmax(self._prefilled(prompt_ids[:stop]))

    def logprobs_along(self, prompt_ids: Sequence[int], output_ids: Sequence[int]) -> Iterator[Logits]:
        """Log-probabilities, by a float32 softmax, of every token of the vocabulary before each token of an output."""
        logits = self._prefilled(prompt_ids)
        for place, token_id in enumerate(output_ids, len(prompt_ids)):
            yield _log_softmax(logits)
            logits = self._runner.decode([token_id], [place])[0]

    def greedy(self, prompt_ids: Sequence[int], num_tokens: int, adjust: Adjust) -> list[int]:
        """The likeliest tokens one after the other, after `adjust`."""
        output: list[int] = []
        logits = self._prefilled(prompt_ids)
        for place in range(len(prompt_ids), len(prompt_ids) + num_tokens):
            output.append(int(adjust(logits.copy(), output).argmax()))
            logits = self._runner.decode(output[-1:], [place])[0]
        return output

    def _prefilled(self, token_ids: Sequence[int]) -> Logits:
        logits = self._runner.prefill(0, token_ids, 0, want_logits=True)
        assert logits is not None
        return logits

    def close(self) -> None:
        """Give the weights back."""
        self._runner.close()


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON answer of a POST that succeeds."""
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urlopen(request, timeout=120) as answer:  # noqa: S310
        value: dict[str, Any] = json.load(answer)
    return value


def _log_softmax(logits: Logits) -> Logits:
    shifted = logits - logits.max()
    result: Logits = shifted - np.log(np.exp(shifted).sum(dtype=np.float32))
    return result
