"""JSON between bytes and Python values, as HTTP bodies need it: strict coming in, always valid going out.

Source: RFC 8259. Python's own `json` accepts `NaN`, turns `1e999` into infinity, lets half a surrogate pair through and
raises RecursionError on deep nesting; a request gets a 400 for each of these.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Final, Generic, Never, TypeVar

from obeaver.errors import BadRequest, PayloadTooLarge
from obeaver.web.json_outline import outline

MAX_DEPTH = 100
"""Most containers within one another. Tool schemas are the deepest honest input, and stay below 30."""

DEFAULT_MAX_VALUES = 400_000
"""Most values of one body. OpenAI takes 300,000 tokens of embedding inputs in a request, and each is one at most."""

_AT_ONCE: Final = 30_000
"""Values that are parsed in one go: some 10 ms, in which no other thread runs."""

_MEMBERS_AT_ONCE: Final = 5_000
"""Of an object: some 3 ms."""

_LEVELS: Final = 6
"""Containers within one another that `encode_in_turns` looks into: a completion's log-probabilities are five deep."""

T = TypeVar("T")


class LazyArray(Generic[T]):
    """A JSON array whose items are made one by one while it is written.

    Hundreds of thousands of small objects that live at once leave memory in pieces when they go: what stays among them
    keeps the allocator's blocks, of a MB each.

    Args:
        items: What the array is made of.
        make: Makes a value of one item; a small one.
    """

    def __init__(self, items: Sequence[T], make: Callable[[T], object]) -> None:
        self._items = items
        self._make = make

    def __iter__(self) -> Iterator[object]:
        return map(self._make, self._items)


def listed(value: object) -> object:
    """What a JSON encoder asks about a value that it does not know: the items of a lazy array.

    Raises:
        TypeError: It is something else, which has no JSON form.
    """
    if isinstance(value, LazyArray):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=listed)

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


def encode_in_turns(data: object) -> bytes:
    """What `encode` makes, piece by piece, so that other threads get their turns in between.

    Raises:
        ValueError: As `encode` does.
        TypeError: As `encode` does.
    """
    return b"".join(_pieces(data, _LEVELS))


def _pieces(data: object, levels: int) -> Iterator[bytes]:
    if levels and isinstance(data, dict) and data and all(isinstance(name, str) for name in data):
        for index, (name, item) in enumerate(data.items()):
            yield (b"," if index else b"{") + encode(name) + b":"
            yield from _pieces(item, levels - 1)
        yield b"}"
    elif levels and isinstance(data, list | tuple) and data:
        yield b"["
        yield from _items(data, levels - 1)
        yield b"]"
    elif isinstance(data, LazyArray):
        yield b"["
        for index, item in enumerate(data):
            yield (b"," if index else b"") + encode(item)
        yield b"]"
    else:
        yield encode(data)


def _items(data: Sequence[object], levels: int) -> Iterator[bytes]:
    """Items that hold others are looked into; plain ones are written many at once."""
    if isinstance(data[0], dict | list | tuple):
        for index, item in enumerate(data):
            yield b"," if index else b""
            yield from _pieces(item, levels)
    else:
        for start in range(0, len(data), _AT_ONCE):
            yield b"," if start else b""
            yield encode(data[start : start + _AT_ONCE])[1:-1]


def decode(body: bytes, *, max_values: int = DEFAULT_MAX_VALUES) -> object:
    """The value of a JSON text in UTF-8. A leading byte order mark is ignored; of equal keys the last wins.

    Args:
        body: The text.
        max_values: A text with more values is not parsed.

    Raises:
        BadRequest: code `invalid_json`. The message says where and what, and quotes nothing of the body.
        PayloadTooLarge: code `too_many_values`.
    """
    if not body or body.isspace():
        raise _invalid("the body is empty")
    found = outline(body, max_values=max_values, max_depth=MAX_DEPTH)
    if found.depth > MAX_DEPTH:
        raise _invalid(f"it is nested deeper than {MAX_DEPTH} levels")
    if found.num_values > max_values:
        raise PayloadTooLarge(
            f"The body holds more JSON values than this server accepts ({max_values:,}).", code="too_many_values"
        )
    value = _parse(body, _DECODER if found.num_values <= _AT_ONCE else _PATIENT_DECODER)
    if _SURROGATE_ESCAPE.search(body):
        _refuse_lone_surrogates(value)
    return value


def _parse(body: bytes, decoder: json.JSONDecoder) -> object:
    try:
        return decoder.decode(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _invalid(f"byte {error.start} is not valid UTF-8") from None
    except json.JSONDecodeError as error:
        raise _invalid(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError:
        # int() refuses numbers beyond sys.get_int_max_str_digits(), since their conversion takes quadratic time.
        raise _invalid("a number has too many digits") from None


def _refuse_lone_surrogates(value: object) -> None:
    try:
        for text in _strings(value):
            text.encode()
    except UnicodeEncodeError:
        raise _invalid("a string holds half of a surrogate pair") from None


def _strings(value: object) -> Iterator[str]:
    """All strings in a value, names too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _refuse_constant(_name: str) -> Never:
    raise _invalid("NaN and Infinity are not JSON")


def _finite_float(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise _invalid("a number is too large")
    return number


def _invalid(reason: str) -> BadRequest:
    return BadRequest(f"The body is not valid JSON: {reason}.", code="invalid_json")


def _object_in_turns(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of these members: made in one go, one of 300,000 keeps all other threads waiting for 200 ms."""
    value: dict[str, object] = {}
    for start in range(0, len(pairs), _MEMBERS_AT_ONCE):
        value.update(pairs[start : start + _MEMBERS_AT_ONCE])
    return value


class _PatientDecoder(json.JSONDecoder):
    """Parses value by value in Python, so that other threads get their turns in between. Takes five times as long."""

    def __init__(self) -> None:
        super().__init__(parse_constant=_refuse_constant, parse_float=_finite_float, object_pairs_hook=_object_in_turns)
        self.scan_once = py_make_scanner(self)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite_float)
_PATIENT_DECODER = _PatientDecoder()
