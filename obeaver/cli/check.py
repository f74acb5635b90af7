"""`obeaver check`: what obeaver has to work with, and what is wrong."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from obeaver.cli.models.listing import size_text
from obeaver.config import load_settings
from obeaver.home import read_note

if TYPE_CHECKING:
    from obeaver.app.environment import Environment

_LABEL_WIDTH: Final = 12


def run_check(arguments: argparse.Namespace) -> int:
    """Print the report; 1 if something that matters is broken.

    Raises:
        CommandError: Wrong settings.
    """
    from obeaver.app.environment import examine
    from obeaver.models.progress import TerminalProgress

    note = read_note()
    home = load_settings(vars(arguments), os.environ, home=note.home).home
    found = examine(home, note, progress=TerminalProgress(), deep=arguments.deep)
    if arguments.json:
        print(json.dumps(found.to_json(), indent=2))
        return 0 if found.ok else 1
    for label, text in _rows(found):
        print(f"{label:<{_LABEL_WIDTH}}{text}")
    for problem in found.problems:
        print(f"{'PROBLEM' if problem.matters else 'note'}: {problem.text}", file=sys.stderr)
    print("all that matters works" if found.ok else "something that matters does not work")
    return 0 if found.ok else 1


def _rows(found: "Environment") -> Iterator[tuple[str, str]]:
    yield "system", f"{found.system}, Python {found.python}"
    yield "versions", ", ".join(f"{package} {version}" for package, version in found.versions.items() if version)
    missing = [package for package, version in found.versions.items() if version is None]
    if missing:
        yield "not there", f"{', '.join(missing)} (obeaver convert needs torch and transformers)"
    yield "processor", _processor_text(found)
    yield "memory", _memory_text(found)
    yield "gpu", f"{found.memory.gpu}, {size_text(found.memory.gpu_total)}" if found.memory.gpu else "none that tells"
    yield "providers", ", ".join(_provider_texts(found)) or "none"
    yield "store", f"{found.home}, {size_text(found.disk_free)} free of {size_text(found.disk_total)}"
    read = "all content read" if found.deep else "sizes and times; --deep reads all content"
    sound = sum(model.problem is None for model in found.models)
    yield "models", f"{sound} of {len(found.models)} sound ({read})"
    for model in found.models:
        yield "", f"{model.name}: {model.problem or 'sound'}"
    yield "hub", _hub_text(found)
    yield "telemetry", "off" if found.telemetry_off else "ON"


def _processor_text(found: "Environment") -> str:
    has = found.processors
    parts = [f"{has.cores} cores", f"{has.logical} logical", f"{has.usable} usable"]
    if has.limit is not None:
        parts.append(f"a container's limit of {has.limit:g}")
    return f"{found.processor}: {', '.join(parts)}; {has.num_threads} threads compute"


def _memory_text(found: "Environment") -> str:
    memory = found.memory
    limit = f", a container's limit of {size_text(memory.limit)}" if memory.limit is not None else ""
    return f"{size_text(memory.total)}, {size_text(memory.available)} free{limit}"


def _provider_texts(found: "Environment") -> Iterator[str]:
    for provider in found.providers:
        kinds = ", ".join(dict.fromkeys(device.kind for device in provider.devices)) or "cannot be used"
        origin = f", {provider.package} {provider.version}" if provider.package else ""
        yield f"{provider.name} ({kinds}{origin})"


def _hub_text(found: "Environment") -> str:
    hub = found.hub
    if hub.offline:
        return f"{hub.endpoint}: not asked, because HF_HUB_OFFLINE is set"
    if not hub.reachable:
        return f"{hub.endpoint}: cannot be reached"
    if hub.user:
        return f"{hub.endpoint}: reachable, signed in as {hub.user}"
    return f"{hub.endpoint}: reachable, {'its token is refused' if hub.has_token else 'not signed in'}"
