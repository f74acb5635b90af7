"""Bounds of numbers and sizes, in words that llguidance keeps.

It computes with 64-bit floats and integers: beyond 2^53 neighbours are one number to it. And of a range that leaves out
its end it may write the end (`exclusiveMinimum: 0` beside a maximum below 1), so every range comes to hold its ends.
"""

import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import Any, Final, NamedTuple, TypeGuard

from obeaver.engine.grammar.schema_walk import Schema, SchemaRefused, subschemas, types_of

_MOST: Final = 2**53
_LARGEST_SIZE: Final = 2**31 - 1
SIZES: Final = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_PARTS: Final = 10**6
"""A range that leaves out its end begins one of so many parts of its width further on."""

_LARGEST_PRODUCT: Final = 2**32
"""llguidance multiplies the steps of joined schemas in 32 bits."""


class _Bound(NamedTuple):
    value: Decimal
    is_open: bool


def bounded(schema: dict[str, Any], pointer: str) -> dict[str, Any]:
    """The schema with bounds that are kept to the letter.

    Args:
        schema: Changed in place.
        pointer: Where it stands.

    Raises:
        SchemaRefused: A number is beyond what is kept.
    """
    _bound_sizes(schema, pointer)
    _refuse_inexact(schema, pointer)
    lows = [*_bounds(schema, "minimum", "exclusiveMinimum")]
    highs = [*_bounds(schema, "maximum", "exclusiveMaximum")]
    low = max(lows, default=None)
    high = min(highs, key=lambda bound: (bound.value, not bound.is_open), default=None)
    if _is_beyond(low, high):
        raise SchemaRefused("bounds of numbers are kept up to 9007199254740992 (2^53) and no further", pointer)
    if (low is None and high is None) or _is_empty(low, high):
        return schema
    for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        schema.pop(name, None)
    integers = types_of(schema) == {"integer"}
    if low is not None:
        schema["minimum"] = _closed(low, high, 1, pointer, integers=integers)
    if high is not None:
        schema["maximum"] = _closed(high, low, -1, pointer, integers=integers)
    return schema


def refuse_steps_that_overflow(schema: Schema) -> None:
    """Check the steps (`multipleOf`) of a document, which joined schemas have to keep together.

    Raises:
        SchemaRefused: They are too many, or too fine.
    """
    found = [
        (pointer, part["multipleOf"]) for pointer, part in subschemas(schema) if _is_number(part.get("multipleOf"))
    ]
    steps = {_decimal(step) for _, step in found}
    finest = min((int(step.normalize().as_tuple().exponent) for step in steps), default=0)
    if math.prod(int(step.scaleb(-min(finest, 0))) for step in steps) >= _LARGEST_PRODUCT:
        raise SchemaRefused("its steps (multipleOf) are too many, or too fine", found[-1][0])


def _bound_sizes(schema: dict[str, Any], pointer: str) -> None:
    for name in SIZES:
        value = schema.get(name)
        if isinstance(value, float) and value.is_integer():
            value = schema[name] = int(value)
        if isinstance(value, int) and value > _LARGEST_SIZE:
            if name.startswith("min"):
                raise SchemaRefused(f"{name} is above {_LARGEST_SIZE}", pointer)
            schema[name] = _LARGEST_SIZE


def _refuse_inexact(schema: Schema, pointer: str) -> None:
    for name in ("const", "enum"):
        if any(int(float(number)) != number for number in _integers(schema.get(name)) if abs(number) >= _MOST):
            raise SchemaRefused(f"{name} has a number beyond 9007199254740992 (2^53) that is not kept exactly", pointer)
    step = schema.get("multipleOf")
    if _is_number(step) and step <= 0:
        raise SchemaRefused("multipleOf must be above 0", pointer)


def _bounds(schema: Schema, inclusive: str, exclusive: str) -> Iterator[_Bound]:
    bound, beyond = schema.get(inclusive), schema.get(exclusive)
    if _is_number(bound):
        # In draft 4 the other word says whether this one is left out.
        yield _Bound(_decimal(bound), beyond is True)
    if _is_number(beyond):
        yield _Bound(_decimal(beyond), True)


def _is_beyond(low: _Bound | None, high: _Bound | None) -> bool:
    return (low is not None and low.value >= _MOST) or (high is not None and high.value <= -_MOST)


def _is_empty(low: _Bound | None, high: _Bound | None) -> bool:
    if low is None or high is None:
        return False
    return low.value > high.value or (low.value == high.value and (low.is_open or high.is_open))


def _closed(bound: _Bound, other: _Bound | None, sign: int, pointer: str, *, integers: bool) -> int | float:
    """A bound within the range, and within what is kept; `sign` is 1 where the range is above it."""
    value = max(min(bound.value, Decimal(_MOST)), Decimal(-_MOST))
    is_open = bound.is_open and value == bound.value
    if integers:
        whole = math.ceil(value * sign) * sign
        return whole + sign if is_open and whole == value else whole
    if not is_open:
        return _number(value)
    width = abs(other.value - value) if other is not None else max(abs(value), Decimal(1))
    moved = _number(value + sign * Decimal(10) ** width.adjusted() / _PARTS)
    if (_decimal(moved) - value) * sign <= 0:
        raise SchemaRefused("the range of its numbers is too narrow", pointer)
    return moved


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, dict | list):
        yield from chain.from_iterable(map(_integers, value.values() if isinstance(value, dict) else value))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value
