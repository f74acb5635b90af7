"""The list of models and one of them."""

from conformance import sdk_schemas
from conformance.turns import Turn


def violations(turn: Turn) -> list[str]:
    """What is wrong with an answer of `/models` or `/models/{id}`."""
    value = turn.value if isinstance(turn.value, dict) else {}
    if turn.endpoint != "/models":
        return sdk_schemas.violations("model", turn.value)
    if value.get("object") != "list" or not isinstance(value.get("data"), list):
        return [f"this is no list of models: {str(turn.value)[:120]}"]
    found = [text for item in value["data"] for text in sdk_schemas.violations("model", item)]
    ids = [item.get("id") for item in value["data"] if isinstance(item, dict)]
    if len(set(ids)) != len(ids):
        found.append("two models have one id")
    return found
