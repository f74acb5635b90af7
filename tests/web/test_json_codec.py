"""JSON bodies: strict coming in, always valid going out."""

import json
import math
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obeaver.errors import BadRequest, PayloadTooLarge
from obeaver.web import json_outline
from obeaver.web.json_codec import MAX_DEPTH, LazyArray, decode, encode, encode_in_turns
from obeaver.web.json_outline import outline
from obeaver.web.response import JSONResponse


class Item(dict[str, Any]):
    """An object that tells when it is gone."""


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_what_is_encoded_decodes_to_itself(value: object) -> None:
    assert decode(encode(value)) == value


MANY = [0] * 40_000
"""Beside so many values, a body is parsed in another way."""


@settings(max_examples=20)
@given(JSON_VALUES)
def test_a_body_of_many_values_is_read_as_others_are(value: object) -> None:
    assert decode(encode([value, MANY])) == [value, MANY]
    assert decode(json.dumps([value, MANY], indent=1).encode()) == [value, MANY]


@pytest.mark.parametrize("text", ["NaN", "1e999", "[1,]", '{"a" 1}', '"\\ud800"', "1" * 5000, "tru", '"', "[", '{"a":'])
def test_a_body_of_many_values_is_refused_as_others_are(text: str) -> None:
    with pytest.raises(BadRequest) as alone:
        decode(f"[{text}]".encode())
    with pytest.raises(BadRequest) as among_many:
        decode(f"[{text},{json.dumps(MANY)}]".encode())
    assert alone.value.code == among_many.value.code == "invalid_json"


@given(JSON_VALUES)
def test_what_other_encoders_write_with_escapes_decodes_to_the_same(value: object) -> None:
    assert decode(json.dumps(value, ensure_ascii=True, indent=2).encode()) == value


REFUSED = {
    "empty": (b"", "empty"),
    "white space only": (b" \n\t", "empty"),
    "cut off": (b'{"a": 1', "line 1, column 8"),
    "two values": (b"{} {}", "Extra data"),
    "single quotes": (b"{'a': 1}", "line 1, column 2"),
    "trailing comma": (b"[1,\n2,]", "line 2"),
    "a raw line end in a string": (b'"a\nb"', "control character"),
    "an unknown escape": (rb'"\x41"', "escape"),
    "NaN": (b'{"a": NaN}', "NaN and Infinity"),
    "Infinity": (b"[Infinity]", "NaN and Infinity"),
    "minus Infinity": (b"[-Infinity]", "NaN and Infinity"),
    "a float beyond the range": (b"[1e999]", "too large"),
    "a negative float beyond the range": (b"[-1e999]", "too large"),
    "an integer of 5000 digits": (b"9" * 5000, "too many digits"),
    "a lone continuation byte": (b'"\x80"', "byte 1 is not valid UTF-8"),
    "an encoded surrogate": (b'"\xed\xa0\x80"', "UTF-8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "UTF-8"),
    "half a surrogate pair": (rb'{"a": ["\ud83d"]}', "surrogate"),
    "half a surrogate pair as a key": (rb'{"\uDE00": 1}', "surrogate"),
    "a surrogate pair the wrong way round": (rb'"\ude00\ud83d"', "surrogate"),
    "deep arrays": (b"[" * 101 + b"]" * 101, "deeper than 100"),
    "deep objects": (b'{"a":' * 101 + b"1" + b"}" * 101, "deeper than 100"),
    "very deep and never closed": (b"[" * 1_000_000, "deeper than 100"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_body_is_refused_with_a_reason(name: str) -> None:
    body, reason = REFUSED[name]

    with pytest.raises(BadRequest) as caught:
        decode(body)

    assert caught.value.code == "invalid_json"
    assert reason in caught.value.message


def test_a_refusal_quotes_nothing_of_the_body() -> None:
    with pytest.raises(BadRequest) as caught:
        decode(b'{"password": "hunter2" "x"}')

    assert "hunter2" not in caught.value.message
    assert "password" not in caught.value.message


@pytest.mark.parametrize("num_wide", [1, 1000])
def test_the_deepest_nesting_that_is_allowed_is_read_however_wide_it_is(num_wide: int) -> None:
    deepest = b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)

    value = decode(b"[" + b",".join([deepest] * num_wide) + b"]")

    assert isinstance(value, list)
    assert len(value) == num_wide


@pytest.mark.parametrize("text", ["[" * 500, "{" * 500, '\\"[' * 500, "[" * 200 + "\\" * 7])
def test_brackets_inside_of_strings_are_not_nesting(text: str) -> None:
    assert decode(json.dumps({"content": text, "after": [1]}).encode()) == {"content": text, "after": [1]}


def test_a_string_without_an_end_is_read_once_and_not_from_each_of_its_quotes() -> None:
    # From each quote, this takes hours.
    body = b"[" + b"[]," * 101 + b'"' + b'\\"' * 1_000_000

    with pytest.raises(BadRequest, match="Unterminated"):
        decode(body)


def test_nesting_after_strings_with_brackets_is_still_found() -> None:
    body = b'["]]]\\"]]", ' + b"[" * 200 + b"]" * 200 + b"]"

    with pytest.raises(BadRequest, match="deeper"):
        decode(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\ud800"', "\\ud800"),
        (rb'"\u0000"', "\0"),
        (b"null", None),
        (b"1e308", 1e308),
        (b"1e-999", 0.0),
    ],
)
def test_what_is_unusual_but_valid_is_read(body: bytes, value: object) -> None:
    assert decode(body) == value


def test_encoding_is_compact_and_leaves_characters_as_they_are() -> None:
    assert encode({"a": [1, "é😀"]}) == '{"a":[1,"é😀"]}'.encode()


@pytest.mark.parametrize(("text", "sent"), [("a\ud800b", "a�b"), ("\ud83d\ude00", "😀"), ("\ude00\ud83d", "��")])
def test_half_surrogate_pairs_are_replaced_and_split_ones_joined(text: str, sent: str) -> None:
    assert json.loads(encode([text])) == [sent]


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_that_is_not_finite_is_never_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"logprob": number})


@given(JSON_VALUES, st.booleans(), st.integers(1, 40))
def test_values_and_depth_are_counted_as_a_parser_finds_them(value: object, ascii: bool, piece: int) -> None:  # noqa: A002
    body = json.dumps(value, ensure_ascii=ascii).encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_outline, "PIECE_BYTES", piece)
        found = outline(body, max_values=10**9, max_depth=10**9)

    # An empty container counts as if it held something: the text need not be looked at for it.
    assert num_values(value) <= found.num_values <= num_values(value) + num_containers(value)
    assert found.depth == depth(value)


def inner(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def num_values(value: object) -> int:
    return 1 + sum(map(num_values, inner(value)))


def num_containers(value: object) -> int:
    return isinstance(value, list | dict) + sum(map(num_containers, inner(value)))


def depth(value: object) -> int:
    return 1 + max(map(depth, inner(value)), default=0) if isinstance(value, list | dict) else 0


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 1000 + b"[]]",
        b"[" + b"1," * 1000 + b"1]",
        b"[" + b'"",' * 1000 + b'""]',
        b"{" + b'"a":{},' * 1000 + b'"a":{}}',
        b"[" * 50 + b"0," * 1000,
    ],
)
def test_a_body_of_too_many_values_is_refused_before_it_is_parsed(body: bytes) -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        decode(body, max_values=1000)

    assert caught.value.code == "too_many_values"
    assert "1,000" in caught.value.message


def test_commas_and_brackets_of_a_text_are_no_values() -> None:
    assert decode(json.dumps(["well, [so] {it} goes, " * 1000, '"', "\\"]).encode(), max_values=10)


@given(JSON_VALUES)
def test_what_is_encoded_in_turns_is_what_is_encoded_at_once(value: object) -> None:
    assert encode_in_turns(value) == encode(value)


def test_long_lists_are_encoded_in_turns_as_at_once() -> None:
    numbers = list(range(100_000))
    value = {"choices": [{"logprobs": {"content": [{"bytes": [1, 2]}, *numbers]}}, numbers], "1": numbers, "": []}
    assert encode_in_turns(value) == encode(value)
    assert encode_in_turns({1: 2}) == encode({1: 2})
    assert JSONResponse.of_many(value).body == JSONResponse(value).body
    assert JSONResponse.of_many(value).headers == JSONResponse(value).headers


@pytest.mark.parametrize("items", [[], [1], [{"a": [1, 2]}, "b", None]])
def test_a_lazy_array_is_written_as_the_list_of_its_items(items: list[object]) -> None:
    lazy = {"content": [LazyArray(items, lambda item: {"item": item})], "other": 1}
    plain = {"content": [[{"item": item} for item in items]], "other": 1}
    assert encode(lazy) == encode_in_turns(lazy) == encode(plain)


def test_items_of_a_lazy_array_are_made_when_they_are_written_and_not_kept() -> None:
    made: list[weakref.ref[Item]] = []

    def make(number: int) -> Item:
        assert all(item() is None for item in made[:-1])
        item = Item(number=number)
        made.append(weakref.ref(item))
        return item

    lazy = LazyArray(range(100), make)
    assert made == []
    assert decode(encode_in_turns({"content": lazy})) == {"content": [{"number": number} for number in range(100)]}


def test_an_object_of_very_many_members_is_read_as_any_other() -> None:
    members: dict[str, Any] = {f"name{number}": number for number in range(60_000)} | {"first": {"inner": []}}
    doubled = json.dumps(members)[:-1] + ', "name7": "last", "first": 1}'
    assert decode(json.dumps(members).encode()) == members
    assert decode(doubled.encode()) == members | {"name7": "last", "first": 1}
