"""Items of a Responses request: rules that depend on their type, and the one form that they are kept in.

The form is that of OpenAI's items: parts where a text may stand alone, and nothing that is not known here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from obeaver.errors import BadRequest

Item = Mapping[str, Any]

REFERENCE: Final = "item_reference"
"""The type of an item that stands for a stored one."""

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "reasoning": (),
    REFERENCE: ("id",),
}
"""What an item of each type must have."""

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "input_text": ("system", "developer", "user", "assistant", "output"),
    "output_text": ("assistant", "output"),
    "refusal": ("assistant",),
    "reasoning_text": ("reasoning",),
    "summary_text": ("reasoning",),
}
"""Where a part of each type may stand: in messages of these roles, in the `output` of a call, or in `reasoning`."""

THOUGHTS: Final[Mapping[str, str]] = {"summary": "summary_text", "content": "reasoning_text"}
"""What `reasoning` has, and of which parts."""

STATUSES: Final = ("completed", "incomplete", "in_progress")
"""How an item may stand."""


def parse_items(given: str | Sequence[Item]) -> tuple[Item, ...]:
    """The `input` of a request that its schema accepts, as items in the form that they are kept in.

    References stay what they are. An item has an `id` if the client gave it one.

    Raises:
        BadRequest: Names the first item that is incomplete, or whose part is out of place.
    """
    items = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given
    for index, item in enumerate(items):
        _check(item, f"input[{index}]")
    return tuple(map(_kept, items))


def _check(item: Item, path: str) -> None:
    for name in REQUIRED[item["type"]]:
        _require(item, name, path)
    match item["type"]:
        case "message":
            _check_parts(item["content"], item["role"], f"{path}.content")
        case "function_call_output":
            _check_parts(item["output"], "output", f"{path}.output")
        case "reasoning":
            for name in ("content", "summary"):
                _check_parts(item.get(name, ()), "reasoning", f"{path}.{name}")


def _check_parts(content: str | Sequence[Item], place: str, path: str) -> None:
    for index, part in enumerate(() if isinstance(content, str) else content):
        kind, where = part["type"], f"{path}[{index}]"
        if place not in PLACES[kind]:
            message = f'`{where}.type` must not be "{kind}" here.'
            raise BadRequest(message, param=f"{where}.type", code="invalid_value")
        _require(part, _text_name(kind), where)


def _require(value: Mapping[str, Any], name: str, path: str) -> None:
    if name not in value:
        where = f"{path}.{name}"
        raise BadRequest(f"`{where}` is required here.", param=where, code="missing_required_parameter")


def _kept(item: Item) -> Item:
    named = {"id": item["id"]} if "id" in item else {}
    kind = item["type"]
    status = item.get("status")
    known = {"type": kind, "status": status if status in STATUSES else "completed"}
    match kind:
        case "message":
            role = item["role"]
            part_kind = "output_text" if role == "assistant" else "input_text"
            return named | known | {"role": role, "content": _parts(item["content"], part_kind)}
        case "function_call":
            return named | known | {name: item[name] for name in REQUIRED[kind]}
        case "function_call_output":
            output = item["output"]
            kept = output if isinstance(output, str) else _parts(output, "input_text")
            return named | known | {"call_id": item["call_id"], "output": kept}
        case "reasoning":
            thoughts = {name: _parts(item.get(name, ()), part) for name, part in THOUGHTS.items()}
            return named | known | thoughts
    return item


def _parts(content: str | Sequence[Item], kind: str) -> list[Item]:
    """Parts of one kind; refusals alone stay what they are."""
    if isinstance(content, str):
        return [_part(kind, content)] if content else []
    return [dict(part) if part["type"] == "refusal" else _part(kind, part["text"]) for part in content]


def _part(kind: str, text: str) -> Item:
    more: Item = {"annotations": [], "logprobs": []} if kind == "output_text" else {}
    return {"type": kind, "text": text, **more}


def _text_name(kind: str) -> str:
    return "refusal" if kind == "refusal" else "text"
