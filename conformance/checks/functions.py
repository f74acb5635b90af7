"""Calls of functions in an answer, in any dialect."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator


@dataclass(frozen=True, slots=True)
class Call:
    """A call: its id, the function's name, and its arguments as the text or the value that was sent."""

    id: Any
    name: Any
    arguments: Any


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for.

    Attributes:
        schemas: Of the parameters of each function that was offered, by name.
        must: Whether there must be a call.
        named: The one function that must be called.
        may: Whether there may be calls.
        several: Whether there may be more than one.
    """

    schemas: Mapping[str, Any]
    must: bool = False
    named: str | None = None
    may: bool = True
    several: bool = True


def violations(calls: Sequence[Call], wanted: Wanted, *, cut: bool) -> list[str]:
    """What is wrong with the calls of an answer, or with there being none.

    Args:
        calls: In their order.
        wanted: What was asked for.
        cut: Whether a limit has ended the answer.
    """
    if not calls:
        return ["a call was required and there is none"] if wanted.must and not cut else []
    found = [] if wanted.may and wanted.schemas else ["there are tool calls where none may be"]
    if wanted.named is not None:
        found += [f"{call.name} was called instead of {wanted.named}" for call in calls if call.name != wanted.named]
    if not wanted.several and len(calls) > 1:
        found.append(f"there are {len(calls)} calls, and parallel calls were forbidden")
    ids = [call.id for call in calls]
    if not all(ids) or len(set(ids)) != len(ids):
        found.append(f"tool calls have the ids {ids}: each needs one of its own")
    return found if cut else found + [text for call in calls for text in _call_violations(call, wanted.schemas)]


def _call_violations(call: Call, schemas: Mapping[str, Any]) -> list[str]:
    if call.name not in schemas:
        return [f"{call.name!r} was called, which was not offered"]
    arguments = call.arguments
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError as error:
            return [f"the arguments of {call.name} are no JSON: {error}"]
    if not isinstance(arguments, dict):
        return [f"the arguments of {call.name} are no object"]
    wrong = Draft202012Validator(schemas[call.name] or {}).iter_errors(arguments)
    return [f"the arguments of {call.name} are not valid: {error.message[:120]}" for error in wrong]
