"""Objects in processes of their own."""

import os
from pathlib import Path

import pytest

from benchmarks.conductor import ContenderFailed
from benchmarks.contenders.child import child


def test_methods_are_called_in_another_process() -> None:
    with child(Path, "/some/folder/file.txt") as near:
        assert near.call("with_suffix", ".json") == Path("/some/folder/file.json")


def test_an_error_comes_back_as_words_and_the_object_lives_on() -> None:
    with child(Path, "relative") as near:
        with pytest.raises(ContenderFailed, match="ValueError"):
            near.call("relative_to", "/elsewhere")
        assert near.call("as_posix") == "relative"


def test_an_object_that_cannot_be_made_fails_at_once() -> None:
    with pytest.raises(ContenderFailed, match="TypeError"), child(int, [1]):
        pass


def test_a_process_that_dies_is_told() -> None:
    with child(Ends) as near, pytest.raises(ContenderFailed, match="its process has ended"):
        near.call("end")


class Ends:
    def end(self) -> None:
        os._exit(3)
