"""Which files of a hub repository are the model. Pure: from a listing to a choice.

In this order: a folder for onnxruntime-genai, a GGUF file, an encoder. Where several would do, a person has to say
which; the message lists them and how to ask for one.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Final

from obeaver.errors import ModelError
from obeaver.models.encoder.architecture import FAMILIES, IMPORTABLE, is_classifier
from obeaver.models.encoder.known import known_model
from obeaver.models.encoder.layout import CONFIG as ENCODER_CONFIG
from obeaver.models.encoder.layout import GRAPHS
from obeaver.models.encoder.safetensors import SHARD_INDEX, SINGLE_FILE
from obeaver.models.exports import EXPORTS, files_beside, graph_among, variant_of, writes_text
from obeaver.models.facts import CONFIG as GENAI_CONFIG
from obeaver.models.format_choice import is_short, num_weights_of
from obeaver.models.origin import ENCODER, FOLDER, GGUF, Form
from obeaver.models.progress import amount
from obeaver.models.split_files import part_names

QUANTISATIONS: Final = (
    *("Q8_0", "Q6_K", "Q5_K_M", "Q5_K", "Q5_K_S", "Q5_1", "Q5_0"),
    *("Q4_K_M", "Q4_K", "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "MXFP4", "MXFP4_MOE", "F16", "BF16", "F32"),
    *("Q3_K_L", "Q3_K_M", "Q3_K", "Q3_K_S", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS", "Q2_K", "Q2_K_S"),
    *("IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "TQ2_0", "TQ1_0"),
)
"""What an import can read, best first: imports are int8 unless asked otherwise, and what is larger than Q8_0 adds
download time and hardly any fidelity to that."""

_FOR_INT4: Final = ("Q4_K_M", "Q4_K", "Q5_K_M", "Q5_K", "Q4_K_S", "Q4_1", "Q4_0", *QUANTISATIONS)
"""The same where memory allows no more than int4: twice the download would add hardly any fidelity."""

# Weights laid out for some processors' instructions, which llama.cpp gave up and nothing else reads.
_GIVEN_UP: Final = re.compile(r"Q4_0_[48]_[48]")

_QUANTISATION: Final = re.compile(r"(?:^|[-._])(I?Q\d\w*?|B?F(?:P)?\d\d|TQ\d_0|MXFP4\w*)(?=$|[-.])", re.IGNORECASE)
# Files beside a model that are none: the eye of a vision model, statistics for quantisation.
_BESIDE: Final = ("mmproj", "imatrix")
# Words in folder names that tell what a folder is for.
_DEVICES: Final = frozenset(
    {"cpu", "cuda", "gpu", "directml", "dml", "webgpu", "openvino", "ov", "qnn", "npu", "trt", "tensorrt"}
    | {"nvtensorrtrtx", "vitisai", "rocm", "migraphx", "coreml"}
)
_NOT_SERVED: Final = re.compile(
    r"(^|/)\.|\.(md|png|jpe?g|gif|svg|webp|pdf|gguf|safetensors|pth?|h5|msgpack|ckpt)$|(^|/)pytorch_model[^/]*\.bin$",
    re.IGNORECASE,
)
_MODULE_FILE: Final = re.compile(r"\d+_\w+/(?:config\.json|model\.safetensors)")
_SHARD: Final = re.compile(r"model-\d+-of-\d+\.safetensors")
_SHOWN: Final = 8

ReadJson = Callable[[str], Any]
"""Reads a small file of the repository."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a repository is to be fetched.

    Attributes:
        form: What it is.
        base: The folder that becomes the model's, empty for the repository's own; the file itself for a GGUF file.
        paths: All files, in the repository's paths.
        reason: Why this one, where there were others; None where there was no choice.
    """

    form: Form
    base: str
    paths: tuple[str, ...]
    reason: str | None = None


def choose(
    repo: str,
    files: Mapping[str, int],
    asked: str | None,
    read_json: ReadJson,
    *,
    address: str | None = None,
    memory: int | None = None,
) -> Choice:
    """Choose the files of one model.

    Args:
        repo: Its name, for messages.
        files: Every path to its bytes.
        asked: A file, a folder, a pattern or a quantisation; None leaves it open.
        read_json: Reads a configuration, where the names alone do not tell.
        memory: Bytes that the machine has, where that shall count in the choice.
        address: What a path goes behind when one of several is asked for; the hub's address if not given.

    Raises:
        ModelError: There is no model that can be served, or there are several; says what to do.
    """
    chooser = _Chooser(repo, files, read_json, f"hf:{repo}:" if address is None else address, memory)
    if asked is None:
        return chooser.within("")
    if asked in files:
        return chooser.file(asked)
    if any(path.startswith(f"{asked}/") for path in files):
        return chooser.within(asked)
    return chooser.pattern(asked)


def quantisation(path: str) -> str | None:
    """`Q4_K_M` of `x/model-q4_k_m.gguf`; None where the name does not say it."""
    found = _QUANTISATION.findall(PurePosixPath(path).stem)
    return re.sub(r"^FP(?=\d)", "F", str(found[-1]).upper()) if found else None


@dataclass(frozen=True, slots=True)
class _Chooser:
    repo: str
    files: Mapping[str, int]
    read_json: ReadJson
    address: str
    memory: int | None

    def file(self, path: str) -> Choice:
        if PurePosixPath(path).name in EXPORTS and path in self.files and self._writes_text(""):
            return self._export("", path, None)
        if not _is_gguf(path):
            raise ModelError(f"{path} of {self.repo} is no GGUF file: name one, or a folder")
        return self._gguf(path, None)

    def _gguf(self, path: str, reason: str | None) -> Choice:
        """A file, or all parts of the model that it belongs to."""
        kind = quantisation(path) or ""
        if _GIVEN_UP.fullmatch(kind):
            raise ModelError(f"{path} of {self.repo} is {kind}, which cannot be imported: take Q4_0 or Q4_K_M")
        parts = part_names(path)
        missing = [part for part in parts if part not in self.files]
        if missing:
            raise ModelError(f"{path} of {self.repo} is one of {len(parts)} parts, and {missing[0]} is missing")
        return Choice(GGUF, parts[0], tuple(parts), reason)

    def pattern(self, asked: str) -> Choice:
        ggufs = [path for path in self._ggufs("") if _fits(path, asked)]
        folders = [folder for folder in self._genai_folders("") if fnmatchcase(folder, asked)]
        if len(ggufs) + len(folders) == 0:
            held = [path for path in self.files if not path.startswith(".")]
            raise ModelError(f"{self.repo} has nothing called {asked}: it has {_listed(held)}")
        if len(ggufs) + len(folders) > 1:
            raise self._several(f"models called {asked}", [*ggufs, *folders])
        return self.file(ggufs[0]) if ggufs else self._folder(folders[0], None)

    def within(self, scope: str) -> Choice:
        if folders := self._genai_folders(scope):
            return self._best_folder(folders, scope)
        ggufs = self._ggufs(scope)
        if ggufs and not self._has_importable_weights(scope):
            return self._best_gguf(ggufs)
        return self._encoder(scope)

    def _has_importable_weights(self, scope: str) -> bool:
        """Whether an encoder's exact weights stand beside its GGUF files."""
        base = f"{scope}/" if scope else ""
        names = [path.removeprefix(base) for path in self._below(scope)]
        if ENCODER_CONFIG not in names or not _weights(names):
            return False
        config = self.read_json(base + ENCODER_CONFIG)
        return isinstance(config, dict) and config.get("model_type") in FAMILIES

    def _genai_folders(self, scope: str) -> list[str]:
        configs = [path for path in self._below(scope) if PurePosixPath(path).name == GENAI_CONFIG]
        return sorted(_parent(path) for path in configs)

    def _best_folder(self, folders: Sequence[str], scope: str) -> Choice:
        if len(folders) == 1:
            return self._folder(folders[0], None)
        if scope in folders and scope:
            return self._folder(scope, None)
        devices = {folder: _DEVICES & set(re.split(r"[^a-z0-9]+", folder.lower())) for folder in folders}
        named = [folder for folder in folders if "cpu" in devices[folder]]
        fitting = named or [folder for folder in folders if not devices[folder]]
        if len(fitting) == 1:
            return self._folder(fitting[0], "it is the one for a CPU")
        if fitting:
            raise self._several("models for a CPU", fitting)
        raise self._several("models, none of them for a CPU", folders)

    def _folder(self, folder: str, reason: str | None) -> Choice:
        others = [other for other in self._genai_folders(folder) if other != folder]
        paths = [
            path
            for path in self._below(folder)
            if not _NOT_SERVED.search(path) and not any(path.startswith(f"{other}/") for other in others)
        ]
        return Choice(FOLDER, folder, tuple(paths), reason)

    def _ggufs(self, scope: str) -> list[str]:
        """Files, and of those that are in parts the first that is there."""
        paths = [path for path in self._below(scope) if _is_gguf(path)]
        models = {part_names(path)[0]: path for path in reversed(paths)}
        return [path for path in models.values() if not any(word in path.lower() for word in _BESIDE)][::-1]

    def _best_gguf(self, paths: Sequence[str]) -> Choice:
        if len(paths) == 1:
            return self._gguf(paths[0], None)
        short = self._is_short(paths)
        for kind in _FOR_INT4 if short else QUANTISATIONS:
            of_kind = [path for path in paths if quantisation(path) == kind]
            if len(of_kind) == 1:
                what = "an import in int4" if short else "an import"
                return self._gguf(of_kind[0], f"of {len(paths)} GGUF files {kind} suits {what} best")
            if of_kind:
                raise self._several(f"GGUF files of the kind {kind}", of_kind)
        raise self._several("GGUF files", paths)

    def _is_short(self, paths: Sequence[str]) -> bool:
        """Whether the model in int8 is too much for the memory."""
        known = [path for path in paths if quantisation(path) in QUANTISATIONS]
        if self.memory is None or not known:
            return False
        return is_short(num_weights_of(self._bytes(known[0]), quantisation(known[0])), self.memory)

    def _encoder(self, scope: str) -> Choice:
        base = f"{scope}/" if scope else ""
        if base + ENCODER_CONFIG not in self.files:
            raise ModelError(
                f"{self.repo} has nothing that can be served: no {GENAI_CONFIG}, no GGUF file, no {ENCODER_CONFIG}"
            )
        names = [path.removeprefix(base) for path in self._below(scope)]
        config = self.read_json(base + ENCODER_CONFIG)
        config = config if isinstance(config, dict) else {}
        family = str(config.get("model_type", "unknown"))
        weights = _weights(names)
        graph = _graph(names)
        says = is_classifier(config) or {"modules.json", "1_Pooling/config.json"} & set(names)
        if not (family in FAMILIES or says or known_model(self.repo)):
            if writes_text(config) and (found := graph_among(names)) is not None:
                return self._export(scope, base + found, f"of its graphs {variant_of(found)} suits a CPU best")
            raise ModelError(
                f"{self.repo} holds a {family} model as it was trained, which has to be converted: "
                f"run `obeaver convert {self.repo}`, or look for a GGUF or ONNX version of it"
            )
        small = [name for name in names if _is_root_json(name) or _MODULE_FILE.fullmatch(name)]
        if weights and family in IMPORTABLE:
            return Choice(ENCODER, scope, tuple(base + name for name in _unique([*small, *weights])))
        if graph is not None:
            data = [name for name in names if name.startswith((f"{graph}_data", f"{graph}.data"))]
            return Choice(FOLDER, scope, tuple(base + name for name in _unique([*small, graph, *data])))
        raise ModelError(
            f"{self.repo} holds a {family} model without an ONNX graph; "
            f"safetensors are imported of {', '.join(IMPORTABLE)}"
        )

    def _writes_text(self, scope: str) -> bool:
        path = f"{scope}/{ENCODER_CONFIG}" if scope else ENCODER_CONFIG
        config = self.read_json(path) if path in self.files else None
        return isinstance(config, dict) and writes_text(config)

    def _export(self, scope: str, graph: str, reason: str | None) -> Choice:
        """One graph as transformers.js has them, with what is beside it; the address names the graph."""
        base = f"{scope}/" if scope else ""
        names = [path.removeprefix(base) for path in self._below(scope)]
        paths = tuple(base + name for name in files_beside(graph.removeprefix(base), names))
        return Choice(FOLDER, scope or graph, paths, reason)

    def _below(self, scope: str) -> list[str]:
        return [path for path in self.files if not scope or path.startswith(f"{scope}/")]

    def _several(self, what: str, places: Sequence[str]) -> ModelError:
        sized = [f"{place or 'its own folder'} ({amount(self._bytes(place))})" for place in places]
        example = next((place for place in places if place), "FOLDER")
        return ModelError(f"{self.repo} has several {what}: {_listed(sized)}; choose one: {self.address}{example}")

    def _bytes(self, place: str) -> int:
        if place in self.files:
            return sum(self.files.get(part, 0) for part in part_names(place))
        return sum(self.files[path] for path in self._below(place))


def _fits(path: str, asked: str) -> bool:
    name = PurePosixPath(path).name
    return fnmatchcase(path, asked) or fnmatchcase(name, asked) or quantisation(path) == asked.upper()


def _is_gguf(path: str) -> bool:
    return path.lower().endswith(".gguf")


def _is_root_json(name: str) -> bool:
    return "/" not in name and name.endswith(".json") and not name.endswith(".index.json")


def _weights(names: Sequence[str]) -> list[str]:
    if SINGLE_FILE in names:
        return [SINGLE_FILE]
    if SHARD_INDEX in names:
        return [SHARD_INDEX, *(name for name in names if _SHARD.fullmatch(name))]
    return []


def _graph(names: Sequence[str]) -> str | None:
    places = [place + name for place in ("", "onnx/") for name in GRAPHS]
    return next((place for place in places if place in names), None)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _listed(items: Sequence[str]) -> str:
    if not items:
        return "no files"
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
