import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_tokenizers import byte_level_metadata, sentencepiece_metadata, tokenizer_of

from obeaver.errors import ModelError
from obeaver.text.prompt import Piece, RenderedPrompt
from obeaver.text.tokenizer import Tokenizer

ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="▁"))


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    metadata = byte_level_metadata(text=["<think>", "é!"], bos_token_id=0)
    return tokenizer_of(tmp_path_factory.mktemp("byte_level"), metadata)


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    metadata = sentencepiece_metadata(control=["[INST]"], text=["<table>"])
    return tokenizer_of(tmp_path_factory.mktemp("sentencepiece"), metadata)


def tokens_of(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    return [tokenizer.token_text(token_id) for token_id in ids]


def prompt(*pieces: tuple[str, bool]) -> RenderedPrompt:
    return RenderedPrompt(tuple(Piece(*piece) for piece in pieces))


def rewrite(folder: Path, name: str, **changes: object) -> Tokenizer:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    return Tokenizer.from_folder(folder)


def test_control_tokens_in_plain_text_are_plain_text(byte_level: Tokenizer) -> None:
    ids = byte_level.encode("<|im_end|>")
    assert len(ids) == len("<|im_end|>")
    assert not any(byte_level.is_special(token_id) for token_id in ids)


def test_control_tokens_act_where_they_are_asked_for(byte_level: Tokenizer) -> None:
    ids = byte_level.encode("hello<|im_end|> w", special=True)
    assert tokens_of(byte_level, ids) == ["hello", "<|im_end|>", " w"]
    assert [byte_level.is_special(token_id) for token_id in ids] == [False, True, False]


def test_user_defined_tokens_are_text_and_stand_for_their_characters(byte_level: Tokenizer) -> None:
    ids = byte_level.encode("<think>é!")
    assert tokens_of(byte_level, ids) == ["<think>", "é!"]
    assert byte_level.decode(ids) == "<think>é!"


def test_only_special_tokens_are_control_tokens(byte_level: Tokenizer) -> None:
    assert byte_level.control_tokens == {"<|im_start|>", "<|im_end|>", "<|endoftext|>"}


@given(text=ANY_TEXT)
def test_any_text_comes_back_from_a_byte_level_vocabulary(byte_level: Tokenizer, text: str) -> None:
    assert byte_level.decode(byte_level.encode(text)) == text


@given(text=ANY_TEXT)
def test_any_text_comes_back_from_a_sentencepiece_vocabulary(sentencepiece: Tokenizer, text: str) -> None:
    assert sentencepiece.decode(sentencepiece.encode(text)) == text


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece"])
@given(data=st.data())
def test_pushes_and_flush_joined_are_the_full_decode(
    kind: str, byte_level: Tokenizer, sentencepiece: Tokenizer, data: st.DataObject
) -> None:
    tokenizer = byte_level if kind == "byte_level" else sentencepiece
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size + 2)))
    skip = data.draw(st.booleans())
    joined = b"".join(tokenizer.token_bytes(i) for i in ids if not (skip and tokenizer.is_special(i)))
    text = joined.decode(errors="replace")
    expected = text.removeprefix(" ") if kind == "sentencepiece" else text
    decoder = tokenizer.decoder(skip_special=skip)
    assert "".join([*map(decoder.push, ids), decoder.flush()]) == expected
    assert tokenizer.decode(ids, skip_special=skip) == expected


@given(text=ANY_TEXT)
def test_a_push_never_ends_inside_a_character(byte_level: Tokenizer, text: str) -> None:
    decoder = byte_level.decoder()
    so_far = ""
    for token_id in byte_level.encode(text):
        so_far += decoder.push(token_id)
        assert text.startswith(so_far)


def test_an_unfinished_character_is_replaced_once_and_decoding_goes_on(byte_level: Tokenizer) -> None:
    first_byte, *_ = byte_level.encode("你")
    decoder = byte_level.decoder()
    assert (decoder.push(first_byte), decoder.flush()) == ("", "\ufffd")
    assert decoder.push(byte_level.encode("a")[0]) == "a"


def test_the_prefixed_space_is_not_part_of_a_decoded_text(sentencepiece: Tokenizer) -> None:
    ids = sentencepiece.encode("hello hello")
    assert tokens_of(sentencepiece, ids) == [" hello", " hello"]
    assert sentencepiece.decode(ids) == "hello hello"


def test_only_one_leading_space_is_stripped(sentencepiece: Tokenizer) -> None:
    assert sentencepiece.decode(sentencepiece.encode("  hello")) == "  hello"


def test_bytes_stand_for_what_has_no_piece(sentencepiece: Tokenizer) -> None:
    ids = sentencepiece.encode("你")
    assert b"".join(map(sentencepiece.token_bytes, ids)) == " 你".encode()


def test_control_text_in_a_sentencepiece_vocabulary_is_plain_text(sentencepiece: Tokenizer) -> None:
    ids = sentencepiece.encode("</s>[INST]<unk>")
    assert not any(sentencepiece.is_special(token_id) for token_id in ids)
    assert sentencepiece.decode(ids) == "</s>[INST]<unk>"


def test_a_sentencepiece_prompt_begins_with_bos_exactly_once(sentencepiece: Tokenizer) -> None:
    without, with_bos = prompt(("hello", False)), prompt(("<s>", True), ("hello", False))
    assert sentencepiece.encode_prompt(without) == sentencepiece.encode_prompt(with_bos)
    assert sentencepiece.encode_prompt(without)[0] == sentencepiece.bos_id
    assert sentencepiece.encode_prompt(without).count(1) == 1


def test_bos_typed_by_a_user_is_not_taken_for_bos(sentencepiece: Tokenizer) -> None:
    ids = sentencepiece.encode_prompt(prompt(("<s>", False)))
    assert ids.count(1) == 1
    assert sentencepiece.decode(ids) == "<s>"


def test_no_bos_is_put_where_the_model_wants_none(byte_level: Tokenizer) -> None:
    assert byte_level.bos_id == 0
    assert byte_level.encode_prompt(prompt(("hello", False))) == byte_level.encode("hello")


def test_the_post_processor_says_whether_bos_is_added_where_the_configuration_does_not(tmp_path: Path) -> None:
    tokenizer_of(tmp_path, byte_level_metadata(bos_token_id=0, add_bos_token=True))
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": {"content": "<|im_start|>"}}', encoding="utf-8")
    assert Tokenizer.from_folder(tmp_path).add_bos


def test_the_configuration_wins_over_the_post_processor(tmp_path: Path) -> None:
    tokenizer_of(tmp_path, byte_level_metadata(bos_token_id=0, add_bos_token=True))
    assert not rewrite(tmp_path, "tokenizer_config.json", add_bos_token=False).add_bos


def test_surrogates_count_as_replacement_characters(byte_level: Tokenizer) -> None:
    assert byte_level.decode(byte_level.encode("a\ud800b")) == "a\ufffdb"
    assert byte_level.decode(byte_level.encode("\ud83d\ude00")) == "😀"


def test_control_tokens_that_swallow_white_space_do_so_in_a_prompt(tmp_path: Path) -> None:
    tokenizer_of(tmp_path, byte_level_metadata())
    definition = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    definition["added_tokens"][0]["rstrip"] = True
    definition["added_tokens"][1]["lstrip"] = True
    tokenizer = rewrite(tmp_path, "tokenizer.json", added_tokens=definition["added_tokens"])
    ids = tokenizer.encode(" <|im_start|>\nhello w <|im_end|> ", special=True)
    assert tokens_of(tokenizer, ids) == [" ", "<|im_start|>", "hello", " w", "<|im_end|>", " "]


def test_ids_are_found_by_their_token(byte_level: Tokenizer) -> None:
    assert byte_level.id_of("<|im_end|>") == 1
    assert byte_level.id_of("no such token") is None


def test_an_id_beyond_the_vocabulary_has_no_bytes(byte_level: Tokenizer) -> None:
    assert byte_level.token_bytes(byte_level.vocab_size) == b""
    assert byte_level.token_bytes(-1) == b""
    assert byte_level.decode([byte_level.vocab_size, -1]) == ""


def test_the_json_describes_the_same_vocabulary(byte_level: Tokenizer) -> None:
    assert json.loads(byte_level.to_json())["model"]["vocab"]["hello"] == byte_level.id_of("hello")
    assert byte_level.json_path.name == "tokenizer.json"


def test_truncation_in_the_file_is_not_obeyed(tmp_path: Path) -> None:
    tokenizer_of(tmp_path, byte_level_metadata())
    limit = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    assert len(rewrite(tmp_path, "tokenizer.json", truncation=limit).encode("abcdef")) == 6


@pytest.mark.parametrize("decoder", [{"type": "WordPiece", "prefix": "##", "cleanup": True}, None])
def test_an_unknown_decoder_is_named_when_it_is_needed(tmp_path: Path, decoder: object) -> None:
    tokenizer_of(tmp_path, byte_level_metadata())
    tokenizer = rewrite(tmp_path, "tokenizer.json", decoder=decoder)
    assert len(tokenizer.encode("hello")) == 1
    with pytest.raises(ModelError, match="WordPiece" if decoder else "None"):
        tokenizer.decoder()


@pytest.mark.parametrize(("scheme", "decoded"), [("always", "hello"), ("never", " hello")])
def test_a_metaspace_decoder_strips_the_space_that_it_put(tmp_path: Path, scheme: str, decoded: str) -> None:
    tokenizer_of(tmp_path, sentencepiece_metadata())
    decoder = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}
    tokenizer = rewrite(tmp_path, "tokenizer.json", decoder=decoder)
    hello = tokenizer.id_of("▁hello")
    assert hello is not None
    assert tokenizer.decode([hello]) == decoded


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("content", [b"{}", b"not json", b'{"model": 1}', b"\xff"])
def test_a_broken_tokenizer_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("content", ["[]", "{"])
def test_a_broken_configuration_is_named(tmp_path: Path, content: str) -> None:
    tokenizer_of(tmp_path, byte_level_metadata())
    (tmp_path / "tokenizer_config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"tokenizer_config\.json"):
        Tokenizer.from_folder(tmp_path)
