"""Records llama.cpp's own vocabulary tests: `record_vocabularies.py llama.cpp/models > llama_cpp_vocabularies.json`.

The folder has `ggml-vocab-NAME.gguf`, the texts of the test in `.inp`, and the ids that llama.cpp and the model's own
tokenizer make of them in `.out`. Of a vocabulary only those tokens and merges are kept that a text has room for: whatever
way text is cut, no other token can come of it. So the ids are those of the whole vocabulary.
"""

import json
import sys
from pathlib import Path
from typing import Any

from obeaver.models.gguf.reader import GgufFile

_SEPARATOR = "\n__ggml_vocab_test__\n"
_KEPT = ("model", "pre")


def byte_chars() -> dict[int, str]:
    """GPT-2's printable stand-in for every byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def record(path: Path) -> dict[str, Any]:
    metadata = GgufFile(path).metadata
    texts = Path(f"{path}.inp").read_text(encoding="utf-8").split(_SEPARATOR)
    chars = byte_chars()
    written = "\0".join("".join(chars[byte] for byte in text.encode()) for text in texts)
    tokens: Any = metadata["tokenizer.ggml.tokens"]
    types: Any = metadata["tokenizer.ggml.token_type"]
    merges: Any = metadata["tokenizer.ggml.merges"]
    kept = [index for index, token in enumerate(tokens) if types[index] != 1 or len(token) == 1 or token in written]
    ids = [[int(word) for word in line.split()] for line in Path(f"{path}.out").read_text().split("\n")]
    return {
        **{key: metadata[f"tokenizer.ggml.{key}"] for key in _KEPT},
        "tokens": {tokens[index]: [index, types[index]] for index in kept},
        "merges": [merge for merge in merges if merge.replace(" ", "", 1) in written],
        "cases": [list(case) for case in zip(texts, ids, strict=False)],
    }


def main() -> None:
    files = sorted(Path(sys.argv[1]).glob("ggml-vocab-*.gguf.out"))
    recorded = {}
    for file in files:
        path = file.with_suffix("")
        if GgufFile(path).metadata.get("tokenizer.ggml.model") == "gpt2":
            recorded[path.stem.removeprefix("ggml-vocab-")] = record(path)
    print(json.dumps(recorded, ensure_ascii=True, separators=(",", ":")))


if __name__ == "__main__":
    main()
