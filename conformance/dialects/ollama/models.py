"""What a server tells of its models: `/api/tags`, `/api/ps`, `/api/show` and `/api/version`."""

import re
from collections.abc import Mapping
from typing import Any

from conformance import sdk_schemas
from conformance.checks.facts import ServerFacts
from conformance.dialects.ollama.lines import MOMENT
from conformance.turns import Turn


def violations(turn: Turn, facts: ServerFacts) -> list[str]:
    """What is wrong with it."""
    name = turn.endpoint.removeprefix("/api/")
    if name == "version":
        version = turn.value.get("version") if isinstance(turn.value, dict) else None
        return [] if version and isinstance(version, str) else [f"there is no version: {str(turn.value)[:80]}"]
    if name not in sdk_schemas.MODELS:
        return []
    # An SDK has turned sizes and moments into values of its own.
    found = sdk_schemas.violations(name, turn.value) if turn.response is not None else []
    if found or name == "show":
        return found
    models = turn.value["models"]
    found = [text for model in models for text in _model_violations(model, turn)]
    names = {str(model.get("model")).removesuffix(":latest") for model in models}
    missing = [known for known in facts.model_ids if known not in names] if name == "tags" else []
    return found + [f"the list has no {known}, which answers" for known in missing]


def _model_violations(model: Mapping[str, Any], turn: Turn) -> list[str]:
    found = []
    name = model.get("model")
    if not name or ":" not in name:
        found.append(f"the model {name!r} has no tag")
    if not re.fullmatch(r"(?:sha256:)?[0-9a-f]{64}", str(model.get("digest"))):
        found.append(f"the digest of {name} is {model.get('digest')!r}")
    if turn.response is not None:
        when = model.get("expires_at" if turn.endpoint == "/api/ps" else "modified_at")
        found += [] if MOMENT.fullmatch(str(when)) else [f"{when!r} of {name} is no moment of RFC 3339"]
        found += [] if isinstance(model.get("size"), int) else [f"the size of {name} is {model.get('size')!r}"]
    return found
