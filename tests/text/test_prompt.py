import pytest
from hypothesis import given
from hypothesis import strategies as st

from obeaver.text.prompt import ControlTokens, Piece, RenderedPrompt

MARK = "\ufdd0"
TOKENS = ["<s>", "</s>", "<|a|>", "<|a|><|b|>", "[I]"]
# Short texts of the tokens' own characters, so that tokens, parts of them and overlaps are common.
NEAR_TOKENS = st.text("<>|/sab[I] ", max_size=12)
CONTROL = ControlTokens(TOKENS)


def controls(text: str) -> list[str]:
    return [piece.text for piece in CONTROL.split(text) if piece.is_control]


def test_the_longest_of_several_tokens_is_found() -> None:
    assert controls("<|a|><|b|><|a|>") == ["<|a|><|b|>", "<|a|>"]


def test_what_is_between_tokens_is_kept_as_it_is() -> None:
    assert list(CONTROL.split("x <s>y")) == [Piece("x ", False), Piece("<s>", True), Piece("y", False)]


def test_tokens_of_one_character_are_left_out() -> None:
    assert list(ControlTokens(["a"]).split("banana")) == [Piece("banana", False)]


def test_the_text_of_a_prompt_is_its_pieces_joined() -> None:
    assert RenderedPrompt((Piece("<s>", True), Piece("x", False))).text == "<s>x"


@given(text=NEAR_TOKENS)
def test_pieces_joined_are_the_text(text: str) -> None:
    assert "".join(piece.text for piece in CONTROL.split(text)) == text


@given(text=NEAR_TOKENS)
def test_a_marked_text_has_no_control_token_and_is_the_same_without_its_marks(text: str) -> None:
    marked = CONTROL.mark(text, MARK)
    assert controls(marked) == []
    assert marked.replace(MARK, "") == text


@given(left=NEAR_TOKENS, right=NEAR_TOKENS)
def test_two_texts_with_marked_edges_make_no_control_token_together(left: str, right: str) -> None:
    marked = [CONTROL.mark(CONTROL.mark_edges(text, MARK), MARK) for text in (left, right)]
    assert controls("".join(marked)) == []
    assert controls("".join(text.strip() for text in marked)) == []


@given(text=NEAR_TOKENS)
def test_a_control_token_next_to_a_text_with_marked_edges_is_found_as_it_was_written(text: str) -> None:
    marked = CONTROL.mark(CONTROL.mark_edges(text, MARK), MARK)
    assert controls(f"<|a|>{marked}</s>") == ["<|a|>", "</s>"]


@pytest.mark.parametrize("text", ["plain", " spaced ", "a < b", "", "s>elf", "1 <"])
def test_marking_edges_leaves_white_space_outside(text: str) -> None:
    marked = CONTROL.mark_edges(text, MARK)
    assert marked.replace(MARK, "") == text
    assert marked.strip().replace(MARK, "") == text.strip()
