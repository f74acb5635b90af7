"""What `/metrics` counts of decoders and encoders, by the name of the model."""

from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from obeaver.engine.decoding.sequence import FinishReason
from obeaver.engine.decoding.stats import EngineTotals
from obeaver.engine.decoding.timeline import Timeline
from obeaver.engine.encoding.meter import BatchWork, Outcome

MODEL: Final = ("model_name",)

_STEPS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_GAPS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30)
_WAITS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_TOKENS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)

_REASONS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.ABORTED: "abort",
    FinishReason.FAILED: "error",
}
"""In vLLM's words."""

_OUTCOMES: Final[Mapping[Outcome, str]] = {
    Outcome.ANSWERED: "stop",
    Outcome.ABORTED: "abort",
    Outcome.FAILED: "error",
}


class _Families:
    """Makes metrics that have the model's name as a label."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, (*MODEL, *labels), registry=self._registry)

    def histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, text, MODEL, buckets=buckets, registry=self._registry)


class DecoderMetrics:
    """Metrics of decoders.

    Args:
        registry: Where they are found.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        new = _Families(registry)
        self.prompt_tokens = new.counter("vllm:prompt_tokens", "Prompt tokens taken in, cached ones among them.")
        self.generation_tokens = new.counter("vllm:generation_tokens", "Tokens generated.")
        self.cache_queries = new.counter("vllm:prefix_cache_queries", "Prompt tokens looked up in what is known.")
        self.cache_hits = new.counter("vllm:prefix_cache_hits", "Those of them that were not computed again.")
        self.draft_tokens = new.counter("vllm:spec_decode_num_draft_tokens", "Tokens computed ahead on a guess.")
        self.accepted_tokens = new.counter(
            "vllm:spec_decode_num_accepted_tokens", "Generated tokens that had been guessed and computed ahead."
        )
        self.success = new.counter("vllm:request_success", "Sequences that ended, by reason.", "finished_reason")
        self.step = new.histogram("obeaver_step_seconds", "Time of the engine's steps.", _STEPS_S)
        self.first_token = new.histogram(
            "vllm:time_to_first_token_seconds", "Time from the engine's hearing of a sequence to its token.", _WAITS_S
        )
        self.next_token = new.histogram(
            "vllm:inter_token_latency_seconds", "Time between two tokens of a sequence.", _GAPS_S
        )
        self.whole = new.histogram(
            "vllm:e2e_request_latency_seconds", "Time from the engine's hearing of a sequence to its end.", _WAITS_S
        )
        self.queue = new.histogram("vllm:request_queue_time_seconds", "Time that sequences waited.", _WAITS_S)
        self.prefill = new.histogram(
            "vllm:request_prefill_time_seconds", "Time from the first step of a sequence to its first token.", _WAITS_S
        )
        self.decode = new.histogram(
            "vllm:request_decode_time_seconds", "Time from the first token of a sequence to its last.", _WAITS_S
        )
        self.inference = new.histogram(
            "vllm:request_inference_time_seconds", "Time from the first step of a sequence to its last token.", _WAITS_S
        )
        self.prompt_length = new.histogram("vllm:request_prompt_tokens", "Tokens of prompts.", _TOKENS)
        self.answer_length = new.histogram("vllm:request_generation_tokens", "Tokens of answers.", _TOKENS)
        self.max_tokens = new.histogram(
            "vllm:request_params_max_tokens", "Tokens of answer that were asked for at most.", _TOKENS
        )

    def of(self, model: str) -> "DecoderMeter":
        """The meter of one model; its counters go on where an earlier one of the same name stopped."""
        return DecoderMeter(self, model)


class DecoderMeter:
    """A `Meter`."""

    def __init__(self, metrics: DecoderMetrics, model: str) -> None:
        self._prompt_tokens = metrics.prompt_tokens.labels(model)
        self._generation_tokens = metrics.generation_tokens.labels(model)
        self._cache_queries = metrics.cache_queries.labels(model)
        self._cache_hits = metrics.cache_hits.labels(model)
        self._draft_tokens = metrics.draft_tokens.labels(model)
        self._accepted_tokens = metrics.accepted_tokens.labels(model)
        self._success = {reason: metrics.success.labels(model, told) for reason, told in _REASONS.items()}
        self._step = metrics.step.labels(model)
        self._first_token = metrics.first_token.labels(model)
        self._next_token = metrics.next_token.labels(model)
        self._whole = metrics.whole.labels(model)
        self._queue = metrics.queue.labels(model)
        self._prefill = metrics.prefill.labels(model)
        self._decode = metrics.decode.labels(model)
        self._inference = metrics.inference.labels(model)
        self._prompt_length = metrics.prompt_length.labels(model)
        self._answer_length = metrics.answer_length.labels(model)
        self._max_tokens = metrics.max_tokens.labels(model)

    def on_step(self, seconds: float, work: EngineTotals) -> None:
        """A step was made."""
        self._step.observe(seconds)
        if work.prompt_tokens:
            self._prompt_tokens.inc(work.prompt_tokens)
            self._cache_queries.inc(work.prompt_tokens)
            self._cache_hits.inc(work.cached_tokens)
        self._generation_tokens.inc(work.generated_tokens)
        if work.lookahead_guesses or work.lookahead_tokens:
            self._draft_tokens.inc(work.lookahead_guesses)
            self._accepted_tokens.inc(work.lookahead_tokens)

    def on_first_token(self, seconds: float) -> None:
        """A sequence has its first token."""
        self._first_token.observe(seconds)

    def on_next_token(self, seconds: float) -> None:
        """A sequence has a further one."""
        self._next_token.observe(seconds)

    def on_end(self, timeline: Timeline, reason: FinishReason, now_s: float) -> None:
        """A sequence is over."""
        self._success[reason].inc()
        self._whole.observe(now_s - timeline.opened_s)
        self._prompt_length.observe(timeline.num_prompt)
        self._answer_length.observe(timeline.num_output)
        self._max_tokens.observe(timeline.max_tokens)
        begun_s, first_s, last_s = timeline.begun_s, timeline.first_token_s, timeline.last_token_s
        self._queue.observe((now_s if begun_s is None else begun_s) - timeline.opened_s)
        if begun_s is not None and first_s is not None and last_s is not None:
            self._prefill.observe(first_s - begun_s)
            self._decode.observe(last_s - first_s)
            self._inference.observe(last_s - begun_s)


class EncoderMetrics:
    """Metrics of encoders.

    Args:
        registry: Where they are found.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        new = _Families(registry)
        self.success = new.counter("vllm:request_success", "Requests that ended, by reason.", "finished_reason")
        self.prompt_tokens = new.counter("vllm:prompt_tokens", "Tokens of texts that were computed.")
        self.texts = new.counter("obeaver_texts", "Texts computed.")
        self.failed = new.counter("obeaver_texts_failed", "Texts on which the model failed.")
        self.step = new.histogram("obeaver_step_seconds", "Time of the model's runs.", _STEPS_S)
        self.whole = new.histogram(
            "vllm:e2e_request_latency_seconds", "Time from the engine's hearing of a request to its end.", _WAITS_S
        )

    def of(self, model: str) -> "EncoderModelMeter":
        """The meter of one model."""
        return EncoderModelMeter(self, model)


class EncoderModelMeter:
    """An `EncoderMeter`."""

    def __init__(self, metrics: EncoderMetrics, model: str) -> None:
        self._success = {outcome: metrics.success.labels(model, told) for outcome, told in _OUTCOMES.items()}
        self._prompt_tokens = metrics.prompt_tokens.labels(model)
        self._texts = metrics.texts.labels(model)
        self._failed = metrics.failed.labels(model)
        self._step = metrics.step.labels(model)
        self._whole = metrics.whole.labels(model)

    def on_batch(self, work: BatchWork) -> None:
        """A batch was computed."""
        self._step.observe(work.seconds)
        self._texts.inc(work.num_texts)
        self._prompt_tokens.inc(work.num_tokens)

    def on_failed(self, num_texts: int) -> None:
        """A batch failed."""
        self._failed.inc(num_texts)

    def on_end(self, outcome: Outcome, seconds: float) -> None:
        """A request is over."""
        self._success[outcome].inc()
        self._whole.observe(seconds)
