"""Let the SDKs themselves drive the server, each in a program of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance import judge
from conformance.answers import turn_from_client
from conformance.cases import Case, orders
from conformance.results import SKIPPED, Result, result
from conformance.targets import Targets

CLIENTS = Path(__file__).parent / "clients"
ROOT = Path(__file__).parent.parent
LANGUAGES = ("python", "python-async", "node")
NPM_PACKAGES = {"openai": ("openai", "zod"), "anthropic": ("@anthropic-ai/sdk",), "ollama": ("ollama",)}
"""What the SDKs are called there, and what else the client programs need."""

TIMEOUT_S = 900


class CannotRun(Exception):
    """A client is not on this machine; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Driver:
    """How to start a client program."""

    title: str
    command: tuple[str, ...]


def driver(sdk: str, language: str, cache: Path | None = None) -> Driver:
    """The program that drives an SDK.

    Args:
        sdk: Whose, as `Dialect.sdk` has it.
        language: Of `LANGUAGES`.
        cache: Where Node's packages are kept; a folder of the user's cache if not given.

    Raises:
        CannotRun: Something that it needs is missing.
    """
    if language == "node":
        packages = str(node_packages(NPM_PACKAGES[sdk], cache))
        return Driver(f"{sdk} {language}", ("node", str(CLIENTS / f"{sdk}_client.mjs"), packages))
    flags = ("--async",) if language == "python-async" else ()
    return Driver(f"{sdk} {language}", (sys.executable, "-m", f"conformance.clients.{sdk}_client", *flags))


def live(cases: Sequence[Case], language: str, targets: Targets, cache: Path | None = None) -> Iterator[Result]:
    """Every case that the SDKs of this language can make."""
    mine = [case for case in cases if not case.is_http and case.made_by(language)]
    for sdk in dict.fromkeys(case.dialect.sdk for case in mine):
        yield from _live([case for case in mine if case.dialect.sdk == sdk], sdk, language, targets, cache)


def _live(mine: Sequence[Case], sdk: str, language: str, targets: Targets, cache: Path | None) -> Iterator[Result]:
    try:
        program = driver(sdk, language, cache)
    except CannotRun as error:
        for case in mine:
            yield Result(case.dialect.title, case.feature, case.name, f"live {language}", SKIPPED, (str(error),))
        return
    reports = {item["label"]: item for item in run(program, client_orders(mine, language, targets))}
    for case in mine:
        labels = [f"{case.slug}.{number}" for number in range(len(case.steps))]
        turns = {
            number: [turn_from_client(case.dialect, found) for found in reports[label]["turns"]]
            for number, label in enumerate(labels)
            if label in reports
        }
        facts = targets.of_case(case).facts
        version = next((item["client"] for item in reports.values()), "")
        yield result(case, f"live {language} {version}".rstrip(), judge.violations(case, turns, facts))


def client_orders(cases: Iterable[Case], language: str, targets: Targets) -> list[dict[str, Any]]:
    """What a client is to do, with the addresses where."""
    found: list[dict[str, Any]] = []
    for case in cases:
        target = targets.of_case(case)
        address = {"base_url": target.base_url, "api_key": target.api_key}
        found += [address | order for order in orders([case], language, target.facts.model)]
    return found


def run(program: Driver, todo: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Start a client program, hand it its orders and read its reports.

    Raises:
        CannotRun: It ended with an error of its own.
    """
    lines = "".join(json.dumps(order) + "\n" for order in todo)
    done = subprocess.run(
        program.command,
        input=lines,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        encoding="utf-8",
        cwd=ROOT,
    )
    if done.returncode:
        raise CannotRun(f"{program.title} ended with status {done.returncode}: {done.stderr.strip()[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def node_packages(names: Sequence[str], cache: Path | None = None) -> Path:
    """The folder with these packages of npm's, fetched where they are missing.

    Args:
        names: Packages.
        cache: The folder; one of the user's cache if not given.

    Raises:
        CannotRun: Node or npm is not on this machine, or npm could not install them.
    """
    folder = cache or _default_cache()
    if shutil.which("node") is None:
        raise CannotRun("node is not on this machine")
    if all((folder / "node_modules" / name / "package.json").is_file() for name in names):
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise CannotRun("npm is not on this machine, and its packages are not in the cache")
    folder.mkdir(parents=True, exist_ok=True)
    # Built beside it and moved there whole: another run may look at the same time, or this one be interrupted.
    with tempfile.TemporaryDirectory(dir=folder) as made:
        (Path(made) / "package.json").write_text('{"private": true}', encoding="utf-8")
        words = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *names]
        done = subprocess.run(words, cwd=made, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotRun(f"npm could not install {', '.join(names)}: {done.stderr.strip()[-500:]}")
        _keep(Path(made), folder)
    return folder


def _keep(made: Path, folder: Path) -> None:
    """Move what npm has made into the cache, beside what is there of other packages."""
    if not (folder / "package.json").exists():
        (made / "package.json").rename(folder / "package.json")
    modules = folder / "node_modules"
    modules.mkdir(exist_ok=True)
    for path in (made / "node_modules").iterdir():
        # A folder of a scope, such as `@anthropic-ai`, has the packages in it.
        places = list(path.iterdir()) if path.name.startswith("@") else [path]
        for place in places:
            target = modules / place.relative_to(made / "node_modules")
            target.parent.mkdir(exist_ok=True)
            if not target.exists():
                place.rename(target)


def _default_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "openai-conformance"
