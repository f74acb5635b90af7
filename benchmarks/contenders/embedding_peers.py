"""One contender of `benchmarks.embeddings` in a process of its own: reads texts once, then times a run for each line.

    python embedding_peers.py bare|fastembed|sentence-transformers FOLDER ONNX_FILE THREADS < JSON lines

The first line is a JSON array of texts; every further line is a command, `run`, and is answered by the seconds it took.
It imports nothing of obeaver, so that it runs in any environment that has the contender's packages.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.update({"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"})
MAX_TOKENS = 512
BATCH_SIZES = (1, 4, 8, 16, 32)
Run = Callable[[], object]


def bare(folder: Path, graph: Path, threads: int, texts: Sequence[str]) -> Run:
    """The best that a plain loop can do: tokenised beforehand, sorted by length, the best batch size, mean pooling."""
    import numpy as np
    import onnxruntime as ort
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    rows = sorted((item.ids for item in tokenizer.encode_batch(list(texts))), key=len)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = {item.name for item in session.get_inputs()}

    def batch(ids: Sequence[Sequence[int]]) -> object:
        shape = len(ids), max(map(len, ids))
        tokens, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, item in enumerate(ids):
            tokens[row, : len(item)] = item
            mask[row, : len(item)] = 1
        feed = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
        hidden = session.run(None, {name: feed[name] for name in names})[0]
        weights = mask[..., None].astype(np.float32)
        vectors = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def run(size: int) -> None:
        for start in range(0, len(rows), size):
            batch(rows[start : start + size])

    best = _best_size(run)
    print(f"bare loop over {graph.parent.name}/{graph.name}: best batch size {best}", file=sys.stderr)
    return lambda: run(best)


def fastembed(folder: Path, graph: Path, threads: int, texts: Sequence[str]) -> Run:
    """The same weights in fastembed, as a custom model."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="local/model",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(url="http://127.0.0.1:9/none"),
        dim=384,
        model_file=str(graph.relative_to(folder)),
    )
    model = TextEmbedding("local/model", specific_model_path=str(folder), threads=threads)
    inner: Any = model.model
    inner.tokenizer.enable_truncation(MAX_TOKENS)
    best = _best_size(lambda size: list(model.embed(texts, batch_size=size)))
    print(f"fastembed: best batch size {best}", file=sys.stderr)
    return lambda: list(model.embed(texts, batch_size=best))


def sentence_transformers(folder: Path, graph: Path, threads: int, texts: Sequence[str]) -> Run:
    """sentence-transformers with its ONNX backend, which sorts by length itself."""
    import onnxruntime as ort
    from sentence_transformers import SentenceTransformer

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    kwargs = {
        "file_name": str(graph.relative_to(folder)),
        "provider": "CPUExecutionProvider",
        "session_options": options,
        "export": False,
    }
    model = SentenceTransformer(str(folder), backend="onnx", model_kwargs=kwargs, device="cpu")
    model.max_seq_length = MAX_TOKENS
    best = _best_size(lambda size: model.encode(list(texts), batch_size=size))
    print(f"sentence-transformers: best batch size {best}", file=sys.stderr)
    return lambda: model.encode(list(texts), batch_size=best, normalize_embeddings=True)


def _best_size(run: Callable[[int], object]) -> int:
    return min(BATCH_SIZES, key=lambda size: _seconds(lambda: run(size)))


def _seconds(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


CONTENDERS = {"bare": bare, "fastembed": fastembed, "sentence-transformers": sentence_transformers}


def main() -> None:
    """Serve one contender until the input ends."""
    name, folder, graph, threads = sys.argv[1:]
    texts = json.loads(sys.stdin.readline())
    run = CONTENDERS[name](Path(folder), Path(graph), int(threads), texts)
    for _ in iter(sys.stdin.readline, ""):
        print(_seconds(run), flush=True)


if __name__ == "__main__":
    main()
