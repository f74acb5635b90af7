"""What is told of a response that was stored: `/responses/{id}` and what stands below it."""

from conformance import sdk_schemas
from conformance.turns import Turn


def violations(turn: Turn) -> list[str]:
    """What is wrong with it."""
    value = turn.value
    # An SDK keeps to itself that something was removed.
    if value is None and turn.response is None:
        return []
    if not isinstance(value, dict):
        return [f"the answer is no object: {str(value)[:120]}"]
    if "deleted" in value:
        return [] if value["deleted"] is True and value.get("id") else [f"this says not what was removed: {value}"]
    if turn.endpoint.partition("?")[0].endswith("/input_items"):
        return _list_violations(value, exact=turn.response is not None)
    return sdk_schemas.violations("response", value)


def _list_violations(value: dict[str, object], *, exact: bool) -> list[str]:
    data = value.get("data")
    if value.get("object") != "list" or not isinstance(data, list):
        return [f"this is no list of items: {str(value)[:120]}"]
    ids = [item.get("id") for item in data]
    found = [] if all(ids) and len(set(ids)) == len(ids) else [f"items have the ids {ids}: each needs one of its own"]
    if exact and (value.get("first_id"), value.get("last_id")) != (ids[0], ids[-1]):
        found.append("first_id and last_id are not those of the list")
    if exact and not isinstance(value.get("has_more"), bool):
        found.append("has_more is missing")
    return found
