from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obeaver.text.hold_back import HoldBack, Patterns
from obeaver.text.stop_strings import StopStrings

SOUP = st.text(alphabet="ab\n")
STOPS = st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=4)


def feed(stop: list[str], pieces: list[str]) -> tuple[str, bool]:
    strings = StopStrings(stop)
    text = "".join([strings.feed(piece) for piece in pieces])
    return text + strings.flush(), strings.stopped


def first_complete(stop: list[str], text: str) -> str | None:
    """The specification: what is in front of the match that ends first, and of those the longest."""
    matches = [(text.find(s) + len(s), text.find(s)) for s in stop if s in text]
    return text[: min(matches)[1]] if matches else None


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:stop] for start, stop in pairwise(edges)]


@pytest.mark.parametrize(
    ("stop", "pieces", "expected"),
    [
        ([], ["all", " of it"], "all of it"),
        ([""], ["an empty one", " is ignored"], "an empty one is ignored"),
        (["END"], ["one E", "N", "D two"], "one "),
        (["END"], ["END"], ""),
        (["END"], ["one EN", "EEND"], "one ENE"),
        (["END"], ["one EN"], "one EN"),
        (["abcdef", "cd"], ["xabcdef"], "xab"),
        (["cd", "abcd"], ["xabcdef"], "x"),
        (["aab"], ["aaab"], "a"),
        (["abab", "abc"], ["abababc"], ""),
        (["ababc"], ["abababc"], "ab"),
        (["\n\n"], ["a\n", "b\n", "\nc"], "a\nb"),
        (["é…"], ["caf", "é", "…"], "caf"),
    ],
)
def test_text_ends_in_front_of_the_stop_string(stop: list[str], pieces: list[str], expected: str) -> None:
    assert feed(stop, pieces)[0] == expected


def test_only_what_can_still_become_a_stop_string_waits() -> None:
    strings = StopStrings(["</s>", "\nUser:"])

    assert [strings.feed(piece) for piece in ("a <", "b", "\nUs", "ual", "\nUser", ":")] == [
        "a ",
        "<b",
        "",
        "\nUsual",
        "",
        "",
    ]
    assert strings.stopped


def test_nothing_comes_after_a_stop_string() -> None:
    strings = StopStrings(["."])

    assert strings.feed("One. Two") == "One"
    assert strings.feed(" Three") == ""
    assert strings.flush() == ""


@given(STOPS, SOUP, st.lists(st.integers(min_value=0), max_size=6))
def test_cuts_never_change_the_outcome(stop: list[str], text: str, places: list[int]) -> None:
    expected = first_complete(stop, text)

    assert feed(stop, cut(text, places)) == (text if expected is None else expected, expected is not None)


@given(STOPS, SOUP, st.lists(st.integers(min_value=0), max_size=6))
def test_no_stop_string_ever_leaks(stop: list[str], text: str, places: list[int]) -> None:
    delivered, _ = feed(stop, cut(text, places))

    assert not any(string in delivered for string in stop)
    assert text.startswith(delivered)


def test_what_follows_a_find_is_handed_back_unread() -> None:
    hold_back = HoldBack(Patterns(["<a>", "<bb>"]))

    assert hold_back.feed("x<b") == ("x", None, "")
    assert hold_back.feed("b>y<a>") == ("", "<bb>", "y<a>")
    assert hold_back.feed("y<a>") == ("y", "<a>", "")
