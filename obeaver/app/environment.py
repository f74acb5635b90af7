"""What obeaver has to work with on this machine, and what is wrong with it: the report of `obeaver check`."""

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import psutil

from obeaver.cgroup import memory_limit_bytes
from obeaver.engine.sessions.providers import Provider, available_providers
from obeaver.engine.sessions.telemetry import TELEMETRY_OFF
from obeaver.home import HomeNote
from obeaver.models.catalog import load_catalog
from obeaver.models.hub_status import HubStatus, ask_hub
from obeaver.models.inventory import Installed, look_up
from obeaver.models.progress import Progress
from obeaver.models.store import Store
from obeaver.monitor.processor import cpu_name
from obeaver.monitor.sources import find_gpu
from obeaver.threads import Processors, find_processors

PACKAGES: Final = (
    "obeaver",
    "onnxruntime",
    "onnxruntime-genai",
    "tokenizers",
    "llguidance",
    "huggingface-hub",
    "numpy",
    "onnx",
    "gguf",
    "uvicorn",
    "torch",
    "transformers",
)
"""Those whose versions are told; the last two are needed by `obeaver convert` alone."""

LOW_DISK_BYTES: Final = 1_000_000_000
LOW_MEMORY_BYTES: Final = 500_000_000
"""About what the default model takes with its caches."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        text: What, and what to do.
        matters: Something does not work because of it.
    """

    text: str
    matters: bool


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory in bytes, and the GPU's name and memory where there is one; `limit` is a container's."""

    total: int
    available: int
    limit: int | None
    gpu: str | None
    gpu_total: int


@dataclass(frozen=True, slots=True)
class Environment:
    """The report.

    Attributes:
        system: The operating system.
        python: Its version.
        processor: Its name.
        versions: Of packages, None for those that are not installed.
        processors: What there is to compute on.
        memory: Memory of machine and GPU.
        providers: Execution providers, those that cannot be used included.
        home: The store's folder.
        disk_free: Bytes free where the store is.
        disk_total: Bytes of that disk.
        models: What is in the store.
        deep: All content was read.
        hub: Whether the hub can be reached.
        telemetry_off: Whether the runtimes are told to report nothing.
        problems: What is wrong.
    """

    system: str
    python: str
    processor: str
    versions: dict[str, str | None]
    processors: Processors
    memory: Memory
    providers: Sequence[Provider]
    home: Path
    disk_free: int
    disk_total: int
    models: Sequence[Installed]
    deep: bool
    hub: HubStatus
    telemetry_off: bool
    problems: Sequence[Problem]

    @property
    def ok(self) -> bool:
        """Whether everything that matters works."""
        return not any(problem.matters for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "ok": self.ok,
            "problems": [asdict(problem) for problem in self.problems],
            "system": self.system,
            "python": self.python,
            "versions": self.versions,
            "processors": {
                "name": self.processor,
                **self.processors._asdict(),
                "num_threads": self.processors.num_threads,
            },
            "memory": asdict(self.memory),
            "providers": [_provider_json(provider) for provider in self.providers],
            "store": {
                "home": str(self.home),
                "disk_free": self.disk_free,
                "disk_total": self.disk_total,
                "deep": self.deep,
                "models": [{"name": model.name, "problem": model.problem} for model in self.models],
            },
            "hub": asdict(self.hub),
            "telemetry_off": self.telemetry_off,
        }


def examine(home: Path, note: HomeNote, *, progress: Progress, deep: bool = False) -> Environment:
    """Look at everything.

    Args:
        home: The store's folder.
        note: What is remembered about it.
        progress: Sees the models being read, where that is asked for.
        deep: Read all content of all models.
    """
    problems: list[Problem] = []
    versions = {package: _version(package) for package in PACKAGES}
    providers = _providers(problems)
    memory = _memory(problems)
    disk = shutil.disk_usage(_nearest_existing(home))
    _check_store(home, note, disk.free, problems)
    models = _models(Store(home), problems, progress, deep=deep)
    hub = ask_hub()
    if hub.problem:
        problems.append(Problem(f"the hub {hub.endpoint}: {hub.problem}", matters=False))
    telemetry_off = all(os.environ.get(name) == value for name, value in TELEMETRY_OFF.items())
    if not telemetry_off:
        problems.append(Problem("telemetry of the runtimes is not switched off", matters=True))
    return Environment(
        system=platform.platform(),
        python=platform.python_version(),
        processor=cpu_name(),
        versions=versions,
        processors=find_processors(),
        memory=memory,
        providers=providers,
        home=home,
        disk_free=disk.free,
        disk_total=disk.total,
        models=models,
        deep=deep,
        hub=hub,
        telemetry_off=telemetry_off,
        problems=problems,
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _providers(problems: list[Problem]) -> Sequence[Provider]:
    try:
        providers = available_providers()
    except Exception as error:  # noqa: BLE001 - a runtime that does not load is the finding
        problems.append(Problem(f"onnxruntime cannot be loaded: {error}", matters=True))
        return []
    for provider in providers:
        if provider.problem:
            text = f"the provider {provider.name} ({provider.package}) cannot be used: {provider.problem}"
            problems.append(Problem(text, matters=False))
    return providers


def _memory(problems: list[Problem]) -> Memory:
    main, limit, gpu = psutil.virtual_memory(), memory_limit_bytes(), find_gpu()
    if min(main.available, limit or main.available) < LOW_MEMORY_BYTES:
        problems.append(Problem(f"only {main.available / 1e6:.0f} MB of memory are free", matters=False))
    return Memory(main.total, main.available, limit, gpu and gpu.label, gpu.total if gpu and gpu.total else 0)


def _check_store(home: Path, note: HomeNote, free_bytes: int, problems: list[Problem]) -> None:
    if note.moving_to is not None:
        text = f"the move of the store from {note.home} to {note.moving_to} is not done: obeaver init finishes it"
        problems.append(Problem(text, matters=True))
    place = _nearest_existing(home)
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        problems.append(Problem(f"{place} cannot be written: nothing can be fetched or imported", matters=True))
    if free_bytes < LOW_DISK_BYTES:
        problems.append(Problem(f"only {free_bytes / 1e6:.0f} MB are free in {place}", matters=False))


def _models(store: Store, problems: list[Problem], progress: Progress, *, deep: bool) -> list[Installed]:
    names, catalog, models = store.names(), load_catalog(), []
    for name in names:
        if deep:
            progress.note(f"reading {name}")
        models.append(look_up(store, name, catalog, deep=deep))
        if (problem := models[-1].problem) is not None:
            problems.append(Problem(f"the model {name} is damaged ({problem}): obeaver rm {name}", matters=True))
    return models


def _provider_json(provider: Provider) -> dict[str, Any]:
    return {
        "name": provider.name,
        "ep_name": provider.ep_name,
        "devices": [{"kind": device.kind, "name": device.name} for device in provider.devices],
        "version": provider.version,
        "package": provider.package,
        "problem": provider.problem or None,
    }


def _nearest_existing(path: Path) -> Path:
    return path if path.exists() or path == path.parent else _nearest_existing(path.parent)
