"""What does an import cost? Time and memory, from the command to a folder that can be served.

The file has random weights in the shape of a real model, and the tokenizer of the default model's file. What a shape of
fewer layers takes is told for all of them too: twice, with few layers and with some more, and a line through both.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.imports.shapes import SHAPES, STORAGES, write_shape
from benchmarks.imports.watched import CommandFailed, Taken, watch
from benchmarks.options import command_parser
from obeaver.config import load_settings
from obeaver.errors import CommandError
from obeaver.models.gguf.reader import GgufFile

_FEW: Final = 1


def main(words: Sequence[str]) -> int:
    """Measure and print; 1 if the import failed."""
    parser = command_parser("import", __doc__, "--shape llama-3.1-8b --layers 4")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="smollm2-1.7b", help="(default smollm2-1.7b)")
    parser.add_argument("--layers", type=int, metavar="N", help="layers of it to make; the rest is extrapolated")
    parser.add_argument("--storage", choices=STORAGES, default="Q4_0", help="type of the layers' matrices")
    parser.add_argument("--weights", choices=("int8", "int4", "fp32"), default="int8", help="format of the result")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE.gguf", help="whose tokenizer the file gets")
    arguments = parser.parse_args(words)
    shape = SHAPES[arguments.shape]
    counts = [shape.layers] if arguments.layers is None else sorted({_FEW, arguments.layers})
    try:
        taken = [_taken(arguments, count) for count in counts]
    except CommandFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if len(taken) > 1:
        few, more = taken
        rate = (more.wall_s - few.wall_s) / (counts[1] - counts[0])
        whole_s = more.wall_s + rate * (shape.layers - counts[1])
        print(f"all {shape.layers} layers, extrapolated: {whole_s:.0f} s; {rate:.1f} s a layer")
    return 0


def _taken(arguments: argparse.Namespace, layers: int) -> Taken:
    shape = replace(SHAPES[arguments.shape], layers=layers)
    tokenizer = GgufFile(arguments.tokenizer or _default_source())
    with tempfile.TemporaryDirectory() as folder:
        file = write_shape(Path(folder) / "model.gguf", shape, arguments.storage, tokenizer)
        home = Path(folder) / "home"
        command = [sys.executable, "-m", "obeaver", "import", str(file), "--name", "m", "--weights", arguments.weights]
        taken = watch(command, {**os.environ, "OBEAVER_HOME": str(home)})
        result_bytes = sum(path.stat().st_size for path in (home / "models" / "m").iterdir())
        larger = max(result_bytes, file.stat().st_size)
        print(
            f"{arguments.shape}, {layers} layers, {arguments.storage} ({file.stat().st_size / 1e9:.2f} GB) to "
            f"{arguments.weights} ({result_bytes / 1e9:.2f} GB): {taken.wall_s:.1f} s, {taken.cpu_s:.1f} s of "
            f"processors, at most {taken.peak_bytes / 1e9:.2f} GB resident ({taken.peak_bytes / larger:.2f} × the "
            f"larger), {taken.peak_own_bytes / 1e9:.2f} GB without mapped files"
        )
    return taken


def _default_source() -> Path:
    """The default model's file, kept by the store that made a model of it."""
    sources = sorted((load_settings({}, os.environ).home / "sources").glob("*.gguf"))
    if not sources:
        raise CommandError("there is no GGUF file in the store: run `obeaver pull` first, or name one with --tokenizer")
    return sources[0]
