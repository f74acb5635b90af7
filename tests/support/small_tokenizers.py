"""Small tokenizers, made from GGUF metadata as an import makes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from obeaver.models.gguf.vocabulary import write_tokenizer
from obeaver.text.tokenizer import Tokenizer

CHATML = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_BYTES = [chr(byte) for byte in _PRINTABLE] + [chr(0x100 + index) for index in range(256 - len(_PRINTABLE))]
_MERGES = ["h e", "l l", "he ll", "hell o", "Ġ w"]
_PIECES = ["▁", "h", "e", "l", "o", "he", "ll", "llo", "hello", "▁hello"]


def byte_level_metadata(control: Sequence[str] = CHATML, text: Sequence[str] = (), **keys: object) -> dict[str, object]:
    """All bytes and a few merges; `control` tokens first, then user-defined ones."""
    tokens = [*control, *text, *_BYTES, *(merge.replace(" ", "") for merge in _MERGES)]
    types = [3] * len(control) + [4] * len(text)
    types += [1] * (len(tokens) - len(types))
    given = {"model": "gpt2", "pre": "gpt-2", "tokens": tokens, "token_type": types, "merges": _MERGES}
    return _named(given | keys)


def sentencepiece_metadata(control: Sequence[str] = (), text: Sequence[str] = (), **keys: object) -> dict[str, object]:
    """`<unk>`, `<s>`, `</s>`, all bytes, `control` and user-defined tokens, a few pieces."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *control, *text, *_PIECES]
    types = [2, 3, 3] + [6] * 256 + [3] * len(control) + [4] * len(text) + [1] * len(_PIECES)
    scores = [0.0] * (len(tokens) - len(_PIECES)) + [-float(index) for index in reversed(range(len(_PIECES)))]
    return _named({"model": "llama", "tokens": tokens, "token_type": types, "scores": scores} | keys)


def tokenizer_of(folder: Path, metadata: Mapping[str, object]) -> Tokenizer:
    """Write the files into the folder and read them."""
    write_tokenizer(metadata, folder)
    return Tokenizer.from_folder(folder)


def _named(keys: Mapping[str, object]) -> dict[str, object]:
    return {f"tokenizer.ggml.{key}": value for key, value in keys.items() if value is not None}
