"""Compiled grammars that are kept."""

import pytest

from obeaver.engine.grammar.kept_compilations import MOST, MOST_CHARS, KeptCompilations


def keeping() -> tuple[list[str], KeptCompilations]:
    built: list[str] = []

    def build(grammar: str) -> object:
        built.append(grammar)
        return object()

    return built, KeptCompilations(build)


def test_a_grammar_is_compiled_once() -> None:
    built, kept = keeping()
    assert kept.get("a") is kept.get("a")
    assert built == ["a"]


def test_the_latest_are_kept_as_many_as_there_may_be() -> None:
    built, kept = keeping()
    for number in range(MOST):
        kept.get(str(number))
    kept.get("0")
    kept.get("new")
    assert len(kept) == MOST
    kept.get("0")
    assert built.count("0") == 1
    kept.get("1")
    assert built.count("1") == 2


def test_long_ones_push_out_others_before_there_are_many() -> None:
    kept = KeptCompilations(lambda _: object())
    for number in range(10):
        kept.get(str(number) * (MOST_CHARS // 4))
    assert len(kept) == 4
    kept.get("x" * (MOST_CHARS + 1))
    assert len(kept) == 4


def test_what_does_not_compile_is_not_kept() -> None:
    def fail(grammar: str) -> object:
        raise ValueError(grammar)

    kept = KeptCompilations(fail)
    with pytest.raises(ValueError, match="a"):
        kept.get("a")
    assert len(kept) == 0
