"""A Hugging Face checkpoint becomes a model folder, by onnxruntime-genai's own model builder in a process of its own.

The builder needs PyTorch and transformers, which obeaver itself does not: they come with `obeaver[convert]`. It writes
into a folder of the store that becomes the model when it is complete, so a builder that fails or is killed leaves
nothing.
"""

import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Final

from obeaver import __version__
from obeaver.errors import ModelError
from obeaver.model_files import read_json_object
from obeaver.models.encoder.architecture import FAMILIES
from obeaver.models.facts import PROVENANCE, is_model_folder, read_facts
from obeaver.models.names import checked_name, is_name, name_from, slug
from obeaver.models.origin import LOCAL, Origin
from obeaver.models.progress import Progress
from obeaver.models.source_cache import remove_tree
from obeaver.models.sources.local import open_local_folder
from obeaver.models.store import Claim, Store, StoredModel

logger = logging.getLogger(__name__)

PRECISIONS: Final = ("int4", "int8", "fp16", "fp32")
COMBINATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "cpu": ("int4", "int8", "fp32"),
    "cuda": ("int4", "int8", "fp16", "fp32"),
    "dml": ("int4", "fp16"),
    "webgpu": ("int4", "int8"),
    "trt-rtx": ("fp16",),
}
"""What the builder of onnxruntime-genai 0.18 says that it makes for each provider; it does not refuse the rest."""

_BUILDER_NAMES: Final = {"trt-rtx": "NvTensorRtRtx"}
_NEEDED: Final = ("torch", "transformers", "onnx_ir")
_CONFIG: Final = "config.json"
_SMALL_FILES: Final = ("*.json", "*.jinja", "*.model", "*.txt")
_WEIGHT_FILES: Final = ("*.safetensors", "pytorch_model*.bin")
# Bytes of the result for each byte of a checkpoint with 16 bits a weight, at most: embeddings stay float32 on a CPU.
_GROWTH: Final = {"int4": 1.2, "int8": 1.5, "fp16": 1.2, "fp32": 2.2}
_LAYER: Final = re.compile(r"Reading (?:decoder )?layer (\d+)")
_ERROR: Final = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b")
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_CHILD: Final = {**_OFFLINE, "ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be made of a checkpoint.

    Attributes:
        precision: One of `PRECISIONS`.
        provider: A key of `COMBINATIONS`.
        name: Of the model, replacing one of that name; None: made from the checkpoint's name.
    """

    precision: str
    provider: str
    name: str | None = None

    def check(self) -> None:
        """See that the builder makes such models, and that it can run.

        Raises:
            ModelError: It does not, or its packages are missing; says what to do.
        """
        known = COMBINATIONS.get(self.provider)
        if known is None:
            raise ModelError(
                f"the model builder makes nothing for {self.provider}; it does for {', '.join(COMBINATIONS)} "
                "(other providers take the models made for cpu)"
            )
        if self.precision not in known:
            raise ModelError(
                f"the model builder makes no {self.precision} models for {self.provider}: choose {', '.join(known)}"
            )
        missing = [package for package in _NEEDED if importlib.util.find_spec(package) is None]
        if missing:
            raise ModelError(
                f"converting needs {', '.join(missing).replace('_', '-')}, and such packages are not installed: "
                "pip install 'obeaver[convert]'"
            )

    def name_for(self, stem: str) -> str:
        """Of the model made of a checkpoint that is called so."""
        if self.name is not None:
            return checked_name(self.name)
        suffix = self.precision if self.provider == "cpu" else f"{self.precision}-{self.provider}"
        name = f"{slug(stem)}-{suffix}"
        return name if is_name(name) else name_from(stem, suffix)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint, known exactly.

    Attributes:
        stem: What it is called.
        place: Where it is, whichever version of it.
        sha256: Of its files, or of their description where they are elsewhere.
        origin: Where this version is.
        at_hand: Gives the folder with its files, fetched if need be, for the length of a block.
    """

    stem: str
    place: str
    sha256: str
    origin: Origin
    at_hand: Callable[[], AbstractContextManager[Path]]


def local_checkpoint(folder: Path, store: Store, *, progress: Progress) -> Checkpoint:
    """Identify a checkpoint by its content.

    Raises:
        ModelError: There is none in this folder, or it is of a kind that needs no conversion.
    """
    require_checkpoint(folder)
    folder = folder.resolve()
    files = sorted({path for pattern in (*_SMALL_FILES, *_WEIGHT_FILES) for path in folder.glob(pattern)})
    sha256 = open_local_folder(folder, files, store.home / "sources" / "known", progress=progress)
    origin = Origin(LOCAL, str(folder), str(folder))
    return Checkpoint(folder.name, str(folder), sha256, origin, at_hand=lambda: nullcontext(folder))


def require_checkpoint(folder: Path) -> None:
    """See that a folder holds what the builder converts.

    Raises:
        ModelError: It does not; says what it holds.
    """
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}")
    if is_model_folder(folder):
        raise ModelError(f"{folder} is a model folder already: obeaver serve {folder}")
    if not (folder / _CONFIG).is_file():
        raise ModelError(f"{folder} is no Hugging Face checkpoint: it has no {_CONFIG}")
    require_decoder(read_json_object(folder / _CONFIG), str(folder))
    if not any(path for pattern in _WEIGHT_FILES for path in folder.glob(pattern)):
        raise ModelError(f"{folder} is no complete checkpoint: it has no *.safetensors")


def require_decoder(config: Mapping[str, Any], what: str) -> None:
    """See that a checkpoint's configuration is not that of an encoder.

    Raises:
        ModelError: It is.
    """
    if config.get("model_type") in FAMILIES:
        raise ModelError(f"{what} holds an encoder, which needs no conversion: obeaver serve-embed {what}")


def convert(checkpoint: Checkpoint, target: Target, store: Store, *, progress: Progress) -> StoredModel:
    """Make a model of a checkpoint; nothing to do when the store has the same one.

    Args:
        checkpoint: The checkpoint.
        target: What to make of it.
        store: Where the model goes.
        progress: Sees the builder's work.

    Raises:
        ModelError: The builder cannot do it; gives its reason.
        StoreError: No space, another model of that name, or the store cannot be written.
    """
    target.check()
    name = target.name_for(checkpoint.stem)

    def on_wait() -> None:
        progress.note(f"waiting for another process that works on {name}")

    store.clean()
    with store.locked(name, on_wait=on_wait) as claim:
        stored = store.find(name)
        if stored is not None and _made_of(stored) == _source(checkpoint, target):
            return stored
        if stored is not None and target.name is None and _made_of(stored).get("place") != checkpoint.place:
            raise ModelError(f"another model is called {name}: choose a name with --name")
        with checkpoint.at_hand() as folder:
            _build(claim, checkpoint, folder, target, store, progress)
    stored = store.find(name)
    if stored is None:
        raise ModelError(f"the model {name} was damaged as soon as it was made")
    return stored


def _build(claim: Claim, checkpoint: Checkpoint, place: Path, target: Target, store: Store, progress: Progress) -> None:
    size_bytes = sum(path.stat().st_size for pattern in _WEIGHT_FILES for path in place.glob(pattern))
    store.require_space(int(size_bytes * _GROWTH[target.precision]), purpose=f"converting {claim.name}")
    with claim.staging(None, origin=checkpoint.origin) as folder:
        _run_builder(place, folder, target, progress)
        if not is_model_folder(folder):
            raise ModelError(f"the model builder made no model of {checkpoint.place}")
        _write_provenance(folder, claim.name, checkpoint, target)
        if read_facts(folder).chat_template is None:
            progress.note(
                "the checkpoint has no chat template, so the model goes on with texts and answers no conversations"
            )


def _made_of(stored: StoredModel) -> Mapping[str, Any]:
    path = stored.folder / PROVENANCE
    source = read_json_object(path).get("source") if path.is_file() else None
    return source if isinstance(source, dict) else {}


def _source(checkpoint: Checkpoint, target: Target) -> dict[str, str]:
    return {
        "kind": "checkpoint",
        "place": checkpoint.place,
        "address": checkpoint.origin.address,
        "sha256": checkpoint.sha256,
        "precision": target.precision,
        "provider": target.provider,
        "builder": f"onnxruntime-genai {metadata.version('onnxruntime-genai')}",
    }


def _write_provenance(folder: Path, name: str, checkpoint: Checkpoint, target: Target) -> None:
    data = {
        "format": 1,
        "name": name,
        "importer": f"obeaver {__version__}",
        "created": int(time.time()),
        "source": _source(checkpoint, target),
        "weights": target.precision,
        "licence": checkpoint.origin.licence,
    }
    (folder / PROVENANCE).write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _run_builder(checkpoint: Path, folder: Path, target: Target, progress: Progress) -> None:
    cache = folder / ".cache"
    cache.mkdir()
    words = ["-i", checkpoint, "-o", folder, "-p", target.precision, "-c", cache]
    words += ["-e", _BUILDER_NAMES.get(target.provider, target.provider)]
    line = [sys.executable, "-m", "onnxruntime_genai.models.builder", *map(str, words)]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as told:
        # In a folder of its own: `-m` would take a module that stands in the current one for its own.
        with _child(line, cwd=cache, told=told) as process:
            if process.stdout is None:
                raise AssertionError("the builder's output is a pipe")
            _follow(process.stdout, _num_layers(checkpoint), progress)
        told.seek(0)
        errors = told.read()
    logger.debug("the model builder said:\n%s", errors)
    remove_tree(cache)
    if process.returncode:
        raise ModelError(f"the model builder cannot convert {checkpoint}: {_reason(errors, process.returncode)}")


@contextmanager
def _child(line: list[str], *, cwd: Path, told: IO[str]) -> "Iterator[subprocess.Popen[str]]":
    """The builder's process, which does not outlive the block."""
    with subprocess.Popen(
        line,
        cwd=cwd,
        env={**os.environ, **_CHILD},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=told,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            yield process
            process.wait()
        finally:
            process.kill()


def _follow(lines: IO[str], num_layers: int | None, progress: Progress) -> None:
    """Show how far the builder is: it names each layer that it reads, and says when it writes."""
    with progress.stage("convert", num_layers, "layer") as stage:
        for line in lines:
            if _LAYER.match(line):
                stage.advance(1)
            elif line.startswith("WARNING"):
                progress.note(line.strip())
            elif line.startswith("Saving ONNX model"):
                break
    progress.note("quantising and writing")
    for _ in lines:  # to the end, or the builder would wait for a reader
        pass


def _num_layers(checkpoint: Path) -> int | None:
    config = read_json_object(checkpoint / _CONFIG)
    nested = config.get("text_config")
    for source in (config, nested if isinstance(nested, dict) else {}):
        value = source.get("num_hidden_layers")
        if isinstance(value, int) and value > 0:
            return value
    return None


def _reason(errors: str, status: int) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    named = [line for line in lines if _ERROR.match(line)]
    if status < 0:
        return f"it was ended by signal {-status}; too little memory is the usual reason"
    return (named or lines or [f"it ended with status {status}"])[-1]
