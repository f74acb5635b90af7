"""Records what llama.cpp's tokenizer makes of the corpus: `record_llama_cpp.py URL > smollm2_llama_cpp.json`.

URL is that of a `llama-server` which serves SmolLM2-135M-Instruct from its GGUF.
"""

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any


def tokenize(url: str, text: str, *, parse_special: bool) -> Any:
    body = {"content": text, "add_special": False, "parse_special": parse_special}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/tokenize", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["tokens"]


def main() -> None:
    corpus = json.loads(Path(__file__).with_name("corpus.json").read_text(encoding="utf-8"))
    rows = [
        {"text": text, "parse_special": special, "ids": tokenize(sys.argv[1], text, parse_special=special)}
        for text in corpus
        for special in (False, True)
    ]
    print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")


if __name__ == "__main__":
    main()
