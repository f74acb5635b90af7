"""Execution providers: which are on this machine, and which one is meant.

A provider is built into onnxruntime or comes as a plugin: a package whose name begins with `onnxruntime-ep-` and whose
module exports `get_library_path` and `get_ep_names`. A plugin's library is loaded into the process once, when providers
are first asked for, and stays.
"""

import functools
import importlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Final, NamedTuple

from obeaver.engine.sessions.telemetry import TELEMETRY_OFF
from obeaver.errors import ProviderError

AUTO: Final = "auto"
CPU: Final = "cpu"

_PLUGIN_PREFIX: Final = "onnxruntime-ep-"
_SUFFIX: Final = "ExecutionProvider"
# Azure's sends what it is given to a service elsewhere.
_NOT_LOCAL: Final = frozenset({"azure"})
# What a built-in provider computes on, where onnxruntime does not tell; the others are GPUs'.
_BUILT_IN_KINDS: Final = {
    CPU: "cpu",
    "openvino": "cpu",
    "xnnpack": "cpu",
    "dnnl": "cpu",
    "qnn": "npu",
    "vitisai": "npu",
}
# Of the devices of one provider the first of these is the default.
_FASTEST_FIRST: Final = ("gpu", "npu", "cpu")
_ANY: Final = "*"
_EXTRAS: Final = {"openvino": "obeaver[openvino]"}

_registering = threading.Lock()


@dataclass(frozen=True, slots=True)
class Device:
    """Something that a provider can compute on.

    Attributes:
        kind: `cpu`, `gpu` or `npu`.
        name: For people; empty where onnxruntime does not tell.
        handle: onnxruntime's own object for it; None where a built-in provider chooses by itself.
    """

    kind: str
    name: str = ""
    handle: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider that is installed.

    Attributes:
        name: As `--provider` takes it: `cpu`, `cuda`, `openvino`.
        ep_name: As onnxruntime calls it: `OpenVINOExecutionProvider`.
        devices: What it can compute on, the default first; none where it cannot be used.
        version: Of the plugin's package, or of onnxruntime.
        package: The plugin's package; None where it is built into onnxruntime.
        library: The plugin's library; None likewise.
        problem: Why it cannot be used, though it is installed; empty where it can.
    """

    name: str
    ep_name: str
    devices: tuple[Device, ...]
    version: str
    package: str | None = None
    library: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ProviderChoice:
    """A provider and the device of it that is to compute."""

    provider: Provider
    device: Device

    @property
    def name(self) -> str:
        """The provider's name: `cpu`, `openvino`."""
        return self.provider.name

    @property
    def is_cpu(self) -> bool:
        """Whether it is onnxruntime's own provider for processors, which takes every graph whole."""
        return self.provider.name == CPU

    @property
    def in_host_memory(self) -> bool:
        """Whether it computes in the process's own memory, so that buffers can be bound without a copy."""
        return self.device.kind == "cpu"


def available_providers() -> list[Provider]:
    """All providers that are installed; those that cannot be used have a `problem`. No model is loaded.

    The first call loads the plugins' libraries: some tens of milliseconds and megabytes each.
    """
    os.environ.update(TELEMETRY_OFF)
    import onnxruntime as ort

    plugins = list(_plugins())
    found = list(_devices(ort))
    # It lists those of loaded plugins as well, among them ones that only choose among the plugin's devices.
    foreign = {item.ep_name for item in found if item.library} | {
        name for plugin in plugins for name in plugin.ep_names
    }
    own_names = [ep_name for ep_name in ort.get_available_providers() if ep_name not in foreign]
    built_in = [_built_in(ep_name, ort.__version__, found) for ep_name in own_names]
    plugged_in = [_plugged_in(plugin, ep_name, found) for plugin in plugins for ep_name in plugin.ep_names]
    return [provider for provider in [*built_in, *plugged_in] if provider.name not in _NOT_LOCAL]


def choose_provider(wanted: str, *, made_for: str = CPU, providers: Sequence[Provider] | None = None) -> ProviderChoice:
    """The provider that a name means.

    Args:
        wanted: A provider's name, such as `openvino`, or with one of its devices, such as `openvino:gpu`; `gpu` or
            `npu` for whichever provider has such a device; `auto` for the one that the model was made for if it is
            there, else the CPU provider.
        made_for: The provider that the model was made for.
        providers: Those that are installed; asks onnxruntime if not given.

    Raises:
        ProviderError: It is not here or cannot be used; lists those that can.
    """
    if wanted == AUTO and made_for == CPU:
        wanted = CPU
    if providers is None:
        # Loading the plugins costs time and memory, and for this none is needed.
        providers = [_cpu_provider()] if wanted == CPU else available_providers()
    usable = [provider for provider in providers if provider.devices]
    if wanted == AUTO:
        wanted = made_for if any(provider.name == made_for for provider in usable) else CPU
    name, _, kind = wanted.lower().partition(":")
    if name in _FASTEST_FIRST[:-1] and not kind:
        name, kind = _ANY, name
    for provider in usable:
        for device in provider.devices:
            if name in (_ANY, provider.name) and kind in ("", device.kind):
                return ProviderChoice(provider, device)
    raise ProviderError(_not_here(wanted, name, kind, providers))


def described(providers: Sequence[Provider]) -> str:
    """Those that can be used, for people: `cpu, openvino (cpu)`."""
    return ", ".join(
        provider.name if provider.name == CPU else f"{provider.name} ({', '.join(_kinds(provider))})"
        for provider in providers
        if provider.devices
    )


class _Plugin(NamedTuple):
    package: str
    version: str
    library: str
    ep_names: Sequence[str]
    problem: str


class _Found(NamedTuple):
    ep_name: str
    library: str | None
    device: Device


def _plugins() -> Iterator[_Plugin]:
    """The plugins' packages, their libraries loaded."""
    for distribution in metadata.distributions():
        package = distribution.name.lower().replace("_", "-")
        if package.startswith(_PLUGIN_PREFIX):
            library, ep_names, problem = _plugin_library(package)
            yield _Plugin(package, distribution.version, library, ep_names, problem)


def _plugin_library(package: str) -> tuple[str, Sequence[str], str]:
    """A plugin's library, the providers in it, and why it cannot be used, if so."""
    try:
        module = importlib.import_module(package.replace("-", "_"))
        library, ep_names = str(module.get_library_path()), list(module.get_ep_names())
        with _registering:
            _register(package, library)
    except Exception as error:  # noqa: BLE001 - a broken plugin must not stop those that work; its user is told
        return "", [package.removeprefix(_PLUGIN_PREFIX)], (str(error).splitlines() or [type(error).__name__])[0]
    return library, ep_names, ""


@functools.cache
def _register(package: str, library: str) -> None:
    """Load a library into the process, once."""
    import onnxruntime as ort

    ort.register_execution_provider_library(package, library)


def _devices(ort: Any) -> Iterator[_Found]:
    for found in ort.get_ep_devices():
        facts = found.ep_metadata
        kind = found.device.type.name.lower()
        device = Device(kind, facts.get("FULL_DEVICE_NAME", ""), found)
        yield _Found(found.ep_name, facts.get("library_path"), device)


def _cpu_provider() -> Provider:
    import onnxruntime as ort

    return Provider(CPU, f"CPU{_SUFFIX}", (Device("cpu"),), ort.__version__)


def _built_in(ep_name: str, version: str, found: Sequence[_Found]) -> Provider:
    name = _short_name(ep_name)
    devices = [item.device for item in found if item.ep_name == ep_name and item.library is None]
    return Provider(name, ep_name, _sorted(devices) or (Device(_BUILT_IN_KINDS.get(name, "gpu")),), version)


def _plugged_in(plugin: _Plugin, ep_name: str, found: Sequence[_Found]) -> Provider:
    devices = [item.device for item in found if item.ep_name == ep_name and item.library == plugin.library]
    problem = plugin.problem or ("" if devices else "it finds no device to compute on")
    return Provider(
        _short_name(ep_name), ep_name, _sorted(devices), plugin.version, plugin.package, plugin.library, problem
    )


def _short_name(ep_name: str) -> str:
    return ep_name.removesuffix(_SUFFIX).lower()


def _sorted(devices: Sequence[Device]) -> tuple[Device, ...]:
    return tuple(sorted(devices, key=lambda device: _FASTEST_FIRST.index(device.kind)))


def _kinds(provider: Provider) -> list[str]:
    return list(dict.fromkeys(device.kind for device in provider.devices))


def _not_here(wanted: str, name: str, kind: str, providers: Sequence[Provider]) -> str:
    for provider in providers:
        if provider.name == name and not provider.devices:
            return f"the execution provider {name} ({provider.package}) cannot be used: {provider.problem}"
    here = described(providers)
    if any(provider.name == name for provider in providers):
        return f"the execution provider {name} has no device {kind} here; there are: {here}"
    hint = f"; {name} comes with {_EXTRAS[name]}" if name in _EXTRAS else ""
    what = (
        f"execution provider for the device {kind}" if name == _ANY else f"execution provider {wanted or repr(wanted)}"
    )
    return f"there is no {what} here; there are: {here}{hint}"
