"""How much of a model does each import format lose?

    python -m benchmarks.fidelity model.gguf                                  # all formats
    python -m benchmarks.fidelity model.gguf --format int8:int8 --format int4:int8
    python -m benchmarks.fidelity model.gguf --folder ./imported              # folders made from this file

Perplexity, mean KL divergence and agreement of the likeliest token, against the file's own weights computed in float32.
The text is one that no format was calibrated on; `--text` takes another. For a model with a chat template the same over
30 questions that the float32 model answers, `--questions` takes others, and how many answers begin with the same token.
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
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks.results import environment

if TYPE_CHECKING:
    from benchmarks.chat_fidelity import Answer

FORMATS = ("int8:float32", "int8:int8", "int4:float32", "int4:int8", "fp32:float32", "fp32:int8")
COLUMNS = ("size_mb", "perplexity", "reference_perplexity", "mean_kl", "same_top1")
CHAT_COLUMNS = ("chat_kl", "chat_same_top1", "chat_same_first")


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
    parser.add_argument("--questions", type=Path, help="UTF-8 text, one question a line")
    return parser.parse_args()


@contextmanager
def _folders(options: argparse.Namespace) -> Iterator[dict[str, Path]]:
    """Folders by the name that the table shows."""
    formats = options.format or ([] if options.folder else FORMATS)
    with tempfile.TemporaryDirectory() as scratch:
        imported = {form: _imported(options.source, Path(scratch) / form.replace(":", "-"), form) for form in formats}
        folders = imported | {folder.name: folder for folder in options.folder or ()}
        yield dict(_with_computed(folders, Path(scratch)))


def _with_computed(folders: dict[str, Path], scratch: Path) -> Iterator[tuple[str, Path]]:
    """Each folder, and what an import in int4 is computed as where memory allows it."""
    from obeaver.models.facts import read_facts
    from obeaver.models.gguf.as_int8 import write_as_int8

    for name, folder in folders.items():
        yield name, folder
        if read_facts(folder).weights == "int4":
            (computed := scratch / f"{folder.name}-computed").mkdir()
            if write_as_int8(folder / "model.onnx", computed) is not None:
                yield f"{name}, as int8", computed


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
    from benchmarks.chat_fidelity import compare_answers
    from obeaver.models.fidelity import compare, folder_logits
    from obeaver.models.gguf.streamed import original_logits

    ids = _token_ids(options, next(iter(folders.values())))
    reference: list[npt.NDArray[np.float32]] = list(original_logits(options.source, ids))
    expected = _answers(options, next(iter(folders.values())))
    rows = []
    for name, folder in folders.items():
        found = compare(reference, folder_logits(folder / "model.onnx", ids), ids)
        chat = asdict(compare_answers(folder / "model.onnx", expected)) if expected else {}
        size_mb = sum(path.stat().st_size for path in folder.glob("model.onnx*")) / 1e6
        rows.append({"format": name, "size_mb": size_mb, **asdict(found), **chat})
    return rows


def _answers(options: argparse.Namespace, folder: Path) -> "list[Answer]":
    """What the source's own weights answer; nothing where it has no chat template."""
    from benchmarks.chat_fidelity import QUESTIONS, answers, prompts
    from obeaver.models.facts import read_facts

    facts = read_facts(folder)
    if facts.chat_template is None:
        return []
    conversations = prompts(facts, (options.questions or QUESTIONS).read_text(encoding="utf-8").splitlines())
    with tempfile.TemporaryDirectory() as scratch:
        exact = _imported(options.source, Path(scratch) / "fp32-float32", "fp32:float32")
        return answers(exact / "model.onnx", conversations, facts.eos_ids)


def _token_ids(options: argparse.Namespace, folder: Path) -> list[int]:
    from obeaver.models.sample_text import EVALUATION, sample_ids

    return sample_ids(folder / "tokenizer.json", options.text or EVALUATION, limit=options.tokens)


def _print_table(rows: list[dict[str, Any]]) -> None:
    columns = [column for column in (*COLUMNS, *CHAT_COLUMNS) if column in rows[0]]
    tqdm.write(f"{'':20}" + "".join(f"{column:>22}" for column in columns))
    for row in rows:
        tqdm.write(f"{row['format']:20}" + "".join(f"{row[column]:>22.4f}" for column in columns))


if __name__ == "__main__":
    main()
