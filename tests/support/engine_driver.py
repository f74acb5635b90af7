"""Drives an EngineCore over the fake runner, and says what each sequence must give, whoever runs beside it."""

from collections.abc import Sequence as SequenceOf
from pathlib import Path
from queue import SimpleQueue

from support.fake_runner import BYTES_PER_TOKEN, VOCAB_SIZE, FakeRunner, expected_logits

from obeaver.engine.decoding.chunk_budget import ChunkBudget
from obeaver.engine.decoding.core import EngineCore, EngineSettings
from obeaver.engine.decoding.sequence import Finished, Sequence, SequenceId
from obeaver.engine.prefix_disk.prefix_disk import Part, PrefixDisk, ReadEnded
from obeaver.engine.sampling.sampler import Sampler
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import ApiError


def settings(
    row_tokens: int = 4096,
    prefix_tokens: int = 0,
    *,
    max_rows: int = 8,
    chunks: ChunkBudget | None = None,
    lookahead: int = 0,
) -> EngineSettings:
    """Settings whose budgets are counted in tokens."""
    return EngineSettings(
        kv_budget_bytes=(row_tokens + prefix_tokens) * BYTES_PER_TOKEN,
        prefix_cache_bytes=prefix_tokens * BYTES_PER_TOKEN,
        max_rows=max_rows,
        chunks=chunks or ChunkBudget(),
        lookahead=lookahead,
    )


def disk_of(folder: Path, budget_bytes: int = 1 << 30, *, origin: bytes = b"o" * 32, **limits: float) -> PrefixDisk:
    """A folder for prefixes of the fake runner."""
    layout = FakeRunner().info.kv_layout
    assert layout is not None
    return PrefixDisk(folder, origin, layout, budget_bytes=budget_bytes, **{"max_unwritten_bytes": 1 << 30, **limits})  # type: ignore[arg-type]


def outputs_alone(prompt_ids: SequenceOf[int], params: SamplingParams, *, decodes_as_prefill: bool = True) -> list[int]:
    """What a sequence must generate: the closed form and the sampler, without any engine."""
    sampler = Sampler(params, prompt_ids, VOCAB_SIZE)
    outputs: list[int] = []
    while len(outputs) < params.max_tokens:
        logits = expected_logits(prompt_ids, outputs, decodes_as_prefill=decodes_as_prefill)
        outputs.append(sampler.sample(logits, outputs).token_id)
        if outputs[-1] in params.stop_token_ids:
            break
    return outputs


class EngineDriver:
    """An engine, what it sent out so far, and a check of every invariant after every step."""

    def __init__(
        self,
        runner: FakeRunner | None = None,
        engine_settings: EngineSettings | None = None,
        disk: PrefixDisk | None = None,
    ) -> None:
        self.runner = runner or FakeRunner()
        self.core = EngineCore(self.runner, engine_settings or settings(), make_sampler=Sampler, disk=disk)
        self._inbox: SimpleQueue[Part | ReadEnded] = SimpleQueue()
        self.core.recall_by(self._inbox.put)
        self.sequences: dict[SequenceId, Sequence] = {}
        self.outputs: dict[SequenceId, list[int]] = {}
        self.results: dict[SequenceId, Finished | ApiError] = {}

    def add(self, prompt_ids: SequenceOf[int], max_tokens: int = 8, seed: int = 0, **params: object) -> SequenceId:
        """Queue a sequence; its id."""
        sampling = SamplingParams(max_tokens=max_tokens, seed=seed, **params)  # type: ignore[arg-type]
        sequence = Sequence(len(self.sequences), tuple(prompt_ids), sampling)
        self.sequences[sequence.id] = sequence
        self.outputs[sequence.id] = []
        self.core.add(sequence)
        return sequence.id

    def step(self) -> int:
        """One step, with what the disk has delivered by then; how many tokens came out."""
        while not self._inbox.empty():
            self.core.receive(self._inbox.get())
        outcome = self.core.step()
        for sequence_id, token in outcome.advanced:
            assert sequence_id not in self.results, "a token after the end"
            self.outputs[sequence_id].append(token.token_id)
        for sequence_id, result in outcome.ended:
            assert sequence_id not in self.results, "two ends"
            self.results[sequence_id] = result
        assert self.core.invariants() == []
        return len(outcome.advanced)

    def run(self) -> None:
        """Step until nothing is left to do."""
        steps = 0
        while self.core.has_work or self.core.stats().num_waiting:
            if not self.core.has_work:
                self.core.receive(self._inbox.get(timeout=60))
            self.step()
            steps += 1
            assert steps < 10_000, "the engine does not come to an end"

    def finished(self, sequence_id: SequenceId) -> Finished:
        """How a sequence ended, which was not by an error."""
        result = self.results[sequence_id]
        assert isinstance(result, Finished)
        return result

    def expected(self, sequence_id: SequenceId) -> list[int]:
        """What the sequence gives alone."""
        sequence = self.sequences[sequence_id]
        same = self.runner.info.decodes_as_prefill
        return outputs_alone(sequence.prompt_ids, sequence.params, decodes_as_prefill=same)

    def check_outputs(self) -> None:
        """Every sequence that finished by itself gave what it gives alone; the others gave the beginning of it."""
        for sequence_id, outputs in self.outputs.items():
            expected = self.expected(sequence_id)
            result = self.results.get(sequence_id)
            if isinstance(result, Finished) and result.reason.value in {"stop", "length"}:
                assert outputs == expected
                assert result.num_output_tokens == len(outputs)
            else:
                assert outputs == expected[: len(outputs)]
