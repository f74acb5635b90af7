"""JSON between bytes and Python values, as HTTP bodies need it: strict coming in, always valid going out.

Source: RFC 8259. Python's own `json` accepts `NaN`, turns `1e999` into infinity, lets half a surrogate pair through and
raises RecursionError on deep nesting; a request gets a 400 for each of these.
"""

import json
import math
import re
from itertools import accumulate
from typing import Never

from obeaver.errors import BadRequest

MAX_DEPTH = 100
"""Most containers within one another. Tool schemas are the deepest honest input, and stay below 30."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

# The closing quote is optional, so that a string without one is read once, and not again from each quote inside of it.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def encode(data: object) -> bytes:
    """The compact JSON text of `data` in UTF-8; half a surrogate pair becomes U+FFFD.

    Raises:
        ValueError: A number is not finite.
        TypeError: A value has no JSON form.
    """
    text = _ENCODER.encode(data)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def decode(body: bytes) -> object:
    """The value of a JSON text in UTF-8. A leading byte order mark is ignored; of equal keys the last wins.

    Raises:
        BadRequest: code `invalid_json`. The message says where and what, and quotes nothing of the body.
    """
    if not body.strip():
        raise _invalid("the body is empty")
    if _deeper_than(body, MAX_DEPTH):
        raise _invalid(f"it is nested deeper than {MAX_DEPTH} levels")
    value = _parse(body)
    if _SURROGATE_ESCAPE.search(body):
        _refuse_lone_surrogates(value)
    return value


def _parse(body: bytes) -> object:
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _invalid(f"byte {error.start} is not valid UTF-8") from None
    except json.JSONDecodeError as error:
        raise _invalid(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError:
        # int() refuses numbers beyond sys.get_int_max_str_digits(), since their conversion takes quadratic time.
        raise _invalid("a number has too many digits") from None


def _deeper_than(body: bytes, limit: int) -> bool:
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > limit


def _refuse_lone_surrogates(value: object) -> None:
    try:
        _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        raise _invalid("a string holds half of a surrogate pair") from None


def _refuse_constant(_name: str) -> Never:
    raise _invalid("NaN and Infinity are not JSON")


def _finite_float(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise _invalid("a number is too large")
    return number


def _invalid(reason: str) -> BadRequest:
    return BadRequest(f"The body is not valid JSON: {reason}.", code="invalid_json")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite_float)
