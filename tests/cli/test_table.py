"""Rows fitted to a width."""

import pytest

from obeaver.cli.table import Column, table_lines

COLUMNS = [Column("NAME"), Column("SIZE", right=True), Column("KIND", rank=1), Column("NOTE", rank=2, can_cut=True)]
ROWS = [["first", "98 MB", "chat", "a rather long note about it"], ["second-one", "4.4 GB", "embedding", ""]]


def test_without_a_limit_nothing_is_cut() -> None:
    assert table_lines(COLUMNS, ROWS, None) == [
        "NAME          SIZE  KIND       NOTE",
        "first        98 MB  chat       a rather long note about it",
        "second-one  4.4 GB  embedding",
    ]


def test_what_can_be_cut_is_cut_first() -> None:
    assert table_lines(COLUMNS, ROWS, 48)[1] == "first        98 MB  chat       a rather long no…"


def test_then_columns_go_the_least_needed_first() -> None:
    assert table_lines(COLUMNS, ROWS, 40)[1] == "first        98 MB  chat"
    assert table_lines(COLUMNS, ROWS, 25)[1] == "first        98 MB"


@pytest.mark.parametrize("width", range(18, 80))
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    assert max(map(len, table_lines(COLUMNS, ROWS, width))) <= width


def test_columns_that_must_stay_do_so_on_a_screen_that_is_too_small() -> None:
    assert table_lines(COLUMNS, ROWS, 5)[2] == "second-one  4.4 GB"


def test_a_heading_stands_without_rows() -> None:
    assert table_lines(COLUMNS, [], 80) == ["NAME  SIZE  KIND  NOTE"]
