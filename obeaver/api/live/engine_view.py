"""What `/api/engine` says: each model's engine at this moment, as plain JSON objects."""

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from obeaver.api.contract import wire
from obeaver.api.live.rates import RateMeter, Rates
from obeaver.api.models.held_model import HeldModel
from obeaver.api.models.model_host import ModelHost
from obeaver.engine.decoding.live import EngineSnapshot, LiveSequence
from obeaver.engine.decoding.worker import EngineWorker
from obeaver.web.request_log import LoggedRequest


class EngineView:
    """Looks at the engines. Belongs to the event loop.

    Args:
        models: The models that answer.
        clock: Seconds, monotonic.
    """

    def __init__(self, models: ModelHost, clock: Callable[[], float]) -> None:
        self._models = models
        self._clock = clock
        self._meters: WeakKeyDictionary[EngineWorker, RateMeter] = WeakKeyDictionary()

    def models(self) -> list[wire.Object]:
        """Every model: those that answer, the default first, then those that end their last answers."""
        leaving = [self._model(held) | {"status": "leaving"} for held in self._models.leaving]
        return [*map(self._model, self._models.held), *leaving]

    def _model(self, held: HeldModel) -> wire.Object:
        told: wire.Object = {"id": held.name, "status": held.status}
        if held.loaded is None:
            return told | {"engine": None}
        worker = held.loaded.worker
        snapshot = worker.snapshot()
        meter = self._meters.setdefault(worker, RateMeter())
        return told | _engine(snapshot, worker, meter.read(snapshot.totals, self._clock()))


def _engine(snapshot: EngineSnapshot, worker: EngineWorker, rates: Rates) -> wire.Object:
    totals, sequences = snapshot.totals, worker.sequences()
    return {
        "engine": snapshot.label,
        "max_rows": snapshot.max_rows,
        "running": [_running(sequence) for sequence in sequences.running],
        "waiting": {"sequences": sequences.num_waiting, "tokens": sequences.waiting_tokens},
        "kv": {"budget_bytes": snapshot.kv_budget_bytes, "used_bytes": snapshot.kv_used_bytes},
        "prefix_cache": {
            "budget_bytes": snapshot.prefix_budget_bytes,
            "used_bytes": snapshot.prefix_cache_bytes,
            "entries": snapshot.prefix_cache_entries,
            "asked_tokens": totals.prompt_tokens,
            "hit_tokens": totals.cached_tokens,
        },
        "lookahead": {"guessed_tokens": totals.lookahead_guesses, "hit_tokens": totals.lookahead_tokens},
        "tokens_per_s": {"prefill": _rounded(rates.prefill), "decode": _rounded(rates.decode)},
        "totals": {
            "steps": totals.steps,
            "prompt_tokens": totals.prompt_tokens,
            "cached_tokens": totals.cached_tokens,
            "generated_tokens": totals.generated_tokens,
            "finished": {reason.value: count for reason, count in totals.finished.items()},
        },
    }


def _running(sequence: LiveSequence) -> wire.Object:
    progress = sequence.progress
    return {
        "id": progress.id,
        "phase": "decode" if progress.is_decoding else "prefill",
        "prompt_tokens": progress.num_prompt,
        "prefilled_tokens": progress.num_prefilled,
        "cached_tokens": progress.num_cached,
        "answer_tokens": progress.num_output,
        "seconds": round(sequence.age_s, 2),
    }


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 1)


def request_objects(requests: Sequence[LoggedRequest]) -> list[wire.Object]:
    """Requests of the log, the oldest first."""
    return [_request(request) for request in requests]


def _request(request: LoggedRequest) -> wire.Object:
    tokens = request.tokens
    return {
        "number": request.number,
        "id": request.id,
        "method": request.method,
        "path": request.path,
        "status": request.status,
        "complete": request.complete,
        "started_at": round(request.started_at, 3),
        "seconds": round(request.duration_s, 3),
        "prompt_tokens": None if tokens is None else tokens.prompt,
        "answer_tokens": None if tokens is None else tokens.answer,
    }
