"""Where in a schema the reason stands for which all of it is refused."""

import json
from collections.abc import Callable
from itertools import islice
from typing import Any, Final, TypeAlias

from obeaver.engine.grammar.schema_needs import needed
from obeaver.engine.grammar.schema_walk import Schema, pointer_to, referred, subschemas

ReasonOf: TypeAlias = Callable[[Schema], str | None]
"""Why a schema is refused; None if it is not."""

_MAX_TRIALS: Final = 300
_MAX_CHARS: Final = 1_000_000
"""Of JSON that is compiled to find the culprit, some two seconds of work; behind that, what was found is told. Work is
counted and not timed: the same schema gets the same error on every machine."""

_SHARED: Final = ("$schema", "$defs", "definitions")
_NOTHING: Final = ("Unsatisfiable schema", "nothing can match it", "nothing can satisfy it")
"""How reasons begin that speak of schemas without values."""


def culprit(schema: Schema, reason: str, reason_of: ReasonOf) -> tuple[str, str]:
    """JSON pointer and reason of the innermost subschema for which a schema is refused; "" for the schema itself.

    A subschema without values is not to blame where it may be left out.

    Args:
        schema: Refused as a whole.
        reason: Why.
        reason_of: Compiles a schema.
    """
    reason_of = _Spending(reason_of)
    shared = {name: schema[name] for name in _SHARED if name in schema}
    if reason.startswith(_NOTHING):
        return _Search(schema, shared, reason_of).barren(schema, "", reason)
    parts = islice(subschemas(schema), 1, _MAX_TRIALS)
    failing = [(pointer, part) for pointer, part in parts if reason_of({**shared, **part}) == reason]
    # What refers to the culprit fails as well.
    found = max(failing, key=lambda found: ("$ref" not in found[1], found[0].count("/")), default=("", schema))
    return found[0], reason


class _Spending:
    """The same as `reason_of` until so much has been compiled; then no reasons are found any more."""

    def __init__(self, reason_of: ReasonOf) -> None:
        self._reason_of = reason_of
        self._num_left = _MAX_CHARS

    def __call__(self, part: Schema) -> str | None:
        self._num_left -= len(json.dumps(part))
        return self._reason_of(part) if self._num_left >= 0 else None


class _Search:
    """Goes from a schema without values to the part that leaves it without."""

    def __init__(self, root: Schema, shared: Schema, reason_of: ReasonOf) -> None:
        self._root = root
        self._shared = shared
        self._reason_of = reason_of
        self._trials = 0
        self._seen: set[str] = set()

    def barren(self, part: Schema, pointer: str, reason: str) -> tuple[str, str]:
        reference = part.get("$ref")
        target = referred(self._root, reference)
        if isinstance(target, dict) and reference not in self._seen and self._is_barren(target):
            self._seen.add(str(reference))
            return self.barren(target, str(reference).removeprefix("#"), self._reason(target) or reason)
        for path, child in needed(part, self._is_barren):
            below = pointer_to(pointer, *path)
            if not isinstance(child, dict):
                return below, "nothing can satisfy it: it is `false`"
            return self.barren(child, below, self._reason(child) or reason)
        return pointer, reason

    def _is_barren(self, part: Any) -> bool:
        if not isinstance(part, dict):
            return part is False
        return (self._reason(part) or "").startswith(_NOTHING)

    def _reason(self, part: Schema) -> str | None:
        self._trials += 1
        return self._reason_of({**self._shared, **part}) if self._trials <= _MAX_TRIALS else None
