"""Whether a JSON text is valid under a schema, in the judgement of two validators that know nothing of grammars.

jsonschema reads patterns as Python does, jsonschema_rs as ECMA-262 does. Numbers are compared as the decimals that they
are: as floats, 0.3 would be no multiple of 0.1.
"""

import decimal
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any, Final

import jsonschema
import jsonschema_rs

_LARGEST_EXPONENT: Final = 999


def objections(schema: dict[str, Any], text: str) -> list[str]:
    """What speaks against a text; empty if it is valid. Each validator's own limits are no objection."""
    with decimal.localcontext(prec=4 * _LARGEST_EXPONENT), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            value = _parsed(text)
        except ValueError as error:
            return [f"no JSON: {error}"]
        return [*_of_jsonschema(schema, value), *_of_jsonschema_rs(schema, text)]


def _of_jsonschema(schema: dict[str, Any], value: object) -> list[str]:
    exact = _parsed(json.dumps(schema))
    try:
        return [
            f"{error.json_path}: {error.message}" for error in _Exact(exact, format_checker=_FORMATS).iter_errors(value)
        ]
    except (RecursionError, re.error):
        # A reference that leads to itself at once, or a pattern that Python cannot read.
        return []


def _of_jsonschema_rs(schema: dict[str, Any], text: str) -> list[str]:
    try:
        validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except ValueError:
        # It knows no numbers beyond floats.
        return []
    # It computes with floats: steps are left to the other.
    return [
        f"{error.instance_path}: {error.message} (as ECMA-262)"
        for error in validator.iter_errors(value)
        if error.schema_path[-1] != "multipleOf"
    ]


def _multiple_of(
    validator: Any, step: decimal.Decimal, value: Any, _schema: object
) -> Iterator[jsonschema.ValidationError]:
    if validator.is_type(value, "number") and decimal.Decimal(value) % decimal.Decimal(step) != 0:
        yield jsonschema.ValidationError(f"{value} is no multiple of {step}")


def _number(written: str) -> decimal.Decimal:
    mantissa, _, exponent = written.lower().partition("e")
    scale = max(min(int(exponent or 0), _LARGEST_EXPONENT), -_LARGEST_EXPONENT)
    return decimal.Decimal(mantissa).scaleb(scale)


def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=_number)


_Exact: Final[Any] = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator, {"multipleOf": _multiple_of}
)
_FORMATS: Final = jsonschema.Draft202012Validator.FORMAT_CHECKER
