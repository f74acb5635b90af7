"""How much of a model does each import format lose?

    python -m benchmarks.fidelity model.gguf                                  # all formats
    python -m benchmarks.fidelity model.gguf --format int8:int8 --format int4:int8
    python -m benchmarks.fidelity model.gguf --folder ./imported              # folders made from this file

Perplexity, mean KL divergence and agreement of the likeliest token, against the file's own weights computed in float32.
The text is one that no format was calibrated on; `--text` takes another.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks.results import environment

FORMATS = ("int8:float32", "int8:int8", "int4:float32", "int4:int8", "fp32:float32", "fp32:int8")
COLUMNS = ("size_mb", "perplexity", "reference_perplexity", "mean_kl", "same_top1")


def main() -> None:
    """Measure and print."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    options = _options()
    with _folders(options) as folders:
        rows = _measured(options, folders)
    _print_table(rows)
    document = {"environment": environment.describe([options.source]), "rows": rows}
    tqdm.write(json.dumps(document, indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="GGUF file")
    parser.add_argument("--format", action="append", help="weights:kv to import and measure; may be repeated")
    parser.add_argument("--folder", action="append", type=Path, help="a model folder; may be repeated")
    parser.add_argument("--text", type=Path, help="UTF-8 text to measure on")
    parser.add_argument("--tokens", type=int, default=1024, help="how much of it (default 1024)")
    return parser.parse_args()


@contextmanager
def _folders(options: argparse.Namespace) -> Iterator[dict[str, Path]]:
    """Folders by the name that the table shows."""
    formats = options.format or ([] if options.folder else FORMATS)
    with tempfile.TemporaryDirectory() as scratch:
        imported = {form: _imported(options.source, Path(scratch) / form.replace(":", "-"), form) for form in formats}
        yield imported | {folder.name: folder for folder in options.folder or ()}


def _imported(source: Path, folder: Path, form: str) -> Path:
    from obeaver.models.gguf import import_gguf
    from obeaver.models.progress import SilentProgress

    weights, _, kv = form.partition(":")
    folder.mkdir()
    started = time.perf_counter()
    import_gguf(source, folder, weights=weights, kv=kv, name=source.stem, progress=SilentProgress())
    tqdm.write(f"{form}: imported in {time.perf_counter() - started:.1f} s")
    return folder


def _measured(options: argparse.Namespace, folders: dict[str, Path]) -> list[dict[str, Any]]:
    from obeaver.models.fidelity import compare, folder_logits
    from obeaver.models.gguf.streamed import original_logits

    ids = _token_ids(options, next(iter(folders.values())))
    reference: list[npt.NDArray[np.float32]] = list(original_logits(options.source, ids))
    rows = []
    for name, folder in folders.items():
        found = compare(reference, folder_logits(folder / "model.onnx", ids), ids)
        size_mb = sum(path.stat().st_size for path in folder.glob("model.onnx*")) / 1e6
        rows.append({"format": name, "size_mb": size_mb, **asdict(found)})
    return rows


def _token_ids(options: argparse.Namespace, folder: Path) -> list[int]:
    from obeaver.models.sample_text import EVALUATION, sample_ids

    return sample_ids(folder / "tokenizer.json", options.text or EVALUATION, limit=options.tokens)


def _print_table(rows: list[dict[str, Any]]) -> None:
    tqdm.write(f"{'':20}" + "".join(f"{column:>22}" for column in COLUMNS))
    for row in rows:
        tqdm.write(f"{row['format']:20}" + "".join(f"{row[column]:>22.4f}" for column in COLUMNS))


if __name__ == "__main__":
    main()
