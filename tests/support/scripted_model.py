"""A model whose answers are written by the test: a runner that reads its lines, and a folder with a real tokenizer.

The vocabulary is the 256 bytes, then the special tokens: one token a byte, so tests can count.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from support.grammars import compiler_of_json

from obeaver.engine.decoding.core import EngineCore, EngineSettings
from obeaver.engine.decoding.timeline import UNMEASURED, Meter
from obeaver.engine.decoding.worker import EngineWorker
from obeaver.engine.grammar.grammar import GrammarCompiler, Matcher
from obeaver.engine.runners.runner import WHOLE, KvBlock, KvShape, Logits, Part, RunnerInfo
from obeaver.engine.sampling.sampler import Sampler
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.engine.sessions.placement import Placement

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "</tool_call>")
VOCAB_SIZE = 256 + len(SPECIALS)
END_ID = 256 + SPECIALS.index("<|im_end|>")
CONTEXT_LENGTH = 4096
SLOW_STEP_S = 0.01
"""At this pace a full context takes 40 s: longer than any test looks on."""
BYTES_PER_TOKEN = 8

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEMPLATE_WITH_TOOLS = (
    "{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<tool_call></tool_call><|im_end|>\n{% endif %}" + TEMPLATE
)

Reply = Callable[[str], Iterable[int] | None]
"""The prompt's text to the ids of the answer; None for letters at random."""


def ids_of(text: str) -> list[int]:
    """The token ids of a text; special tokens in it are one id each."""
    for index, special in enumerate(SPECIALS):
        front, found, rest = text.partition(special)
        if found:
            return [*ids_of(front), 256 + index, *ids_of(rest)]
    return list(text.encode())


def text_of(ids: Iterable[int]) -> str:
    """The opposite of `ids_of`."""
    pieces = [bytes([i]) if i < 256 else SPECIALS[i - 256].encode() for i in ids]
    return b"".join(pieces).decode("utf-8", "replace")


def says(text: str) -> Reply:
    """Always this answer, then the end."""
    return lambda _prompt: ids_of(text)


HELLO = says("Hello")


def write_model_folder(folder: Path, template: str = TEMPLATE, *, add_bos: bool = False) -> Path:
    """Everything about the model but its weights."""
    model = {
        "type": "llama",
        "vocab_size": VOCAB_SIZE,
        "context_length": CONTEXT_LENGTH,
        "eos_token_id": END_ID,
        "bos_token_id": 256,
        "decoder": {"filename": "model.onnx"},
    }
    files = {
        "genai_config.json": {"model": model, "search": {"max_length": CONTEXT_LENGTH}},
        "tokenizer.json": _tokenizer(),
        "tokenizer_config.json": {
            "eos_token": "<|im_end|>",
            "bos_token": "<|endoftext|>",
            "add_bos_token": add_bos,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    (folder / "model.onnx").write_bytes(b"")
    return folder


def _tokenizer(plain: Iterable[str] = ()) -> dict[str, object]:
    not_special = frozenset(plain)
    added = [
        {
            "id": 256 + index,
            "content": text,
            "special": text not in not_special,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for index, text in enumerate(SPECIALS)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {char: byte for byte, char in byte_chars().items()}, "merges": []},
    }


def byte_chars() -> dict[int, str]:
    """GPT-2's printable stand-in for every byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


class ScriptedRunner:
    """The Runner protocol; each row remembers its tokens, and says what `reply` makes of its prompt.

    Args:
        reply: What to answer.
        fails: Asked before each decode run with the number of runs so far; true makes it raise.
        gives_all_logits: As in `RunnerInfo`.
        placement: As in `RunnerInfo`.
        step_s: Seconds that a decode run takes at least. An answer that must still be under way when the test looks
            needs it: without it, thousands of tokens take a fast machine a fraction of a second.
    """

    def __init__(
        self,
        reply: Reply,
        *,
        fails: Callable[[int], bool] = lambda num_runs: False,
        gives_all_logits: bool = True,
        step_s: float = 0.0,
        placement: Placement | None = None,
    ) -> None:
        self.info = RunnerInfo(
            label="scripted",
            vocab_size=VOCAB_SIZE,
            context_length=CONTEXT_LENGTH,
            kv_bytes_per_token=BYTES_PER_TOKEN,
            max_rows=8,
            can_copy_kv=False,
            gives_all_logits=gives_all_logits,
            placement=placement or Placement(),
        )
        self._reply = reply
        self._fails = fails
        self._step_s = step_s
        self._rows: dict[int, list[int]] = {}
        self._answers: dict[int, list[int] | None] = {}
        self._starts: dict[int, int] = {}
        self.num_runs = 0

    def resize(self, shape: KvShape, held: Sequence[int] | None = None) -> None:
        """Rows are lists: they need no room."""

    def move_row(self, source: int, target: int, num_tokens: int) -> None:
        self._rows[target] = self._rows.pop(source)[:num_tokens]
        self._answers[target] = self._answers.pop(source)
        self._starts[target] = self._starts.pop(source)

    def swap_rows(self, first: int, second: int, num_first: int, num_second: int) -> None:
        of_rows: list[dict[int, Any]] = [self._rows, self._answers, self._starts]
        for of_row in of_rows:
            of_row[first], of_row[second] = of_row[second], of_row[first]

    def read_kv(self, row: int, start: int, stop: int) -> KvBlock:
        raise NotImplementedError

    def write_kv(self, row: int, start: int, block: KvBlock) -> None:
        raise NotImplementedError

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
        self._rows[row] = [*self._rows.get(row, [])[:start], *token_ids]
        if not want_logits:
            return None
        reply = self._reply(text_of(self._rows[row]))
        self._answers[row] = None if reply is None else list(reply)
        self._starts[row] = len(self._rows[row])
        return self._logits(row)

    def prefill_with_logits(
        self, row: int, token_ids: Sequence[int], start: int, *, decoded: bool = False, part: Part = WHOLE
    ) -> Logits:
        """A prompt was likely to the last letter: each token expects the one after it."""
        last = self.prefill(row, token_ids, start, want_logits=True)
        logits = np.full((len(token_ids), VOCAB_SIZE), -10.0, np.float32)
        logits[np.arange(len(token_ids) - 1), token_ids[1:]] = 10.0
        logits[-1] = last
        return logits

    def decode(self, token_ids: Sequence[int], lengths: Sequence[int]) -> Logits:
        self.num_runs += 1
        time.sleep(self._step_s)
        if self._fails(self.num_runs):
            raise RuntimeError("this run fails as the test wants")
        for row, token_id in enumerate(token_ids):
            self._rows[row].append(token_id)
        return np.stack([self._logits(row) for row in range(len(lengths))])

    def release_row(self, row: int) -> None:
        self._rows.pop(row, None)

    def close(self) -> None:
        """Nothing to give back."""

    def _logits(self, row: int) -> Logits:
        logits = np.full(VOCAB_SIZE, -10.0, np.float32)
        answer = self._answers[row]
        if answer is None:
            logits[ord("a") : ord("z") + 1] = 10.0
            return logits
        place = len(self._rows[row]) - self._starts[row]
        logits[answer[place] if place < len(answer) else END_ID] = 10.0
        return logits


def make_grammars(plain: Iterable[str] = ()) -> GrammarCompiler:
    """A compiler for the vocabulary; `plain` are added tokens that the tokenizer does not call special."""
    return compiler_of_json(json.dumps(_tokenizer(plain)), VOCAB_SIZE, [END_ID])


async def start_worker(
    runner: ScriptedRunner,
    *,
    max_rows: int = 8,
    max_queue: int = 8,
    grammars: GrammarCompiler | None = None,
    meter: Meter = UNMEASURED,
) -> EngineWorker:
    """A worker that runs this runner."""

    def constraint(params: SamplingParams) -> Matcher | None:
        return grammars.compile(params.grammar) if grammars and params.grammar else None

    settings = EngineSettings(kv_budget_bytes=8 * CONTEXT_LENGTH * BYTES_PER_TOKEN, max_rows=max_rows)
    worker = EngineWorker(
        lambda: EngineCore(runner, settings, make_sampler=Sampler, make_constraint=constraint),
        max_queue=max_queue,
        name="scripted engine",
        meter=meter,
    )
    await worker.start()
    return worker
