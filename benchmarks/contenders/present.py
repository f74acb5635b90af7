"""Which contenders are on this machine: obeaver on each provider and runner, peers on the PATH, peers at URLs."""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.contenders.child import child
from benchmarks.contenders.fleet import LONE, LONG, Contender
from benchmarks.contenders.servers import Server, at_url, is_on_path, llama_server, obeaver, ollama
from benchmarks.options import Options
from benchmarks.results.environment import program_version

SLOTS, CONTEXT = 16, 4608
LONG_CONTEXT, FAR_CONTEXT = 8192, 16_384
"""Of one stream, where there are not so many: llama-server takes memory for all of them when it starts. The second one
for models that can use it."""
CPU = "cpu"


def chat_contenders(
    options: Options, folder: Path, source: Path | None, also: Sequence[Path] = (), *, far: bool = False
) -> list[Contender]:
    """All that take part; obeaver on its default provider and runner first.

    Args:
        options: What is asked for.
        folder: Of the model.
        source: The GGUF file that it was imported from, which peers get.
        also: Folders of other imports of that file.
        far: Whether the model can use a context of `FAR_CONTEXT` tokens.
    """
    found = [
        _obeaver(options, each, provider, runner, f", {each.name}" if each != folder else "")
        for each in (folder, *also)
        for provider in providers(options)
        for runner in options.runners
    ]
    found.append(_without_lookahead(found[0], folder))
    files = [*([source] if source else []), *options.gguf]
    if is_on_path("llama-server"):
        found += [_llama_server(options, path, files) for path in files]
        context = FAR_CONTEXT if far else LONG_CONTEXT
        found += [_with_long_context(options, path, files, context) for path in files]
    else:
        tqdm.write("llama-server is not on the PATH: it does not take part", file=sys.stderr)
    if is_on_path("ollama") and source and not options.chat_template:  # it has templates of another language
        found.append(_ollama(options, source))
    return found + [_at_url(name, url) for name, url in options.peers]


def reads_far(folder: Path) -> bool:
    """Whether a model can use so long a context."""
    from obeaver.models.facts import read_facts

    return read_facts(folder).context_length >= FAR_CONTEXT


class ProviderNames:
    """Asks onnxruntime, in a process of its own: plugins stay loaded once they are."""

    def usable(self) -> list[str]:
        """Names of the execution providers that can be used, the CPU's first."""
        from obeaver.engine.sessions.providers import available_providers

        return sorted((each.name for each in available_providers() if each.devices), key=lambda name: name != CPU)


def providers(options: Options) -> Sequence[str]:
    """The execution providers that take part: those that are asked for, else all that can be used here."""
    if options.providers:
        return options.providers
    with child(ProviderNames) as names:
        found: list[str] = names.call("usable")
    return found


def _obeaver(options: Options, folder: Path, provider: str, runner: str, which: str) -> Contender:
    settings: dict[str, Any] = {"threads": options.threads, "provider": provider, "runner": runner}
    if options.chat_template:
        settings["chat_template"] = str(options.chat_template)
    return _with_settings(f"obeaver {provider}/{runner}{which}", folder, settings)


def _without_lookahead(usual: Contender, folder: Path) -> Contender:
    """What a lone stream takes where its text says nothing that it said before."""
    settings = {**usual.facts["settings"], "lookahead": 0}
    return replace(_with_settings(f"{usual.name}, no lookahead", folder, settings), asked=LONE)


def _with_settings(name: str, folder: Path, settings: Mapping[str, Any]) -> Contender:
    flags = [word for key, value in settings.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    facts = {"kind": "obeaver", "provider": settings["provider"], "runner": settings["runner"], "settings": settings}
    return Contender(
        name,
        lambda timeout_s: obeaver(str(folder), *flags, name=name, timeout_s=timeout_s),
        facts,
        folder=folder,
    )


def _with_long_context(options: Options, path: Path, files: Sequence[Path], context: int) -> Contender:
    """For prompts that are longer than what it has for each of many streams."""
    usual = _llama_server(options, path, files, slots=1, context=context)
    return replace(usual, name=f"{usual.name}, 1 slot", asked=LONG)


def _llama_server(
    options: Options, path: Path, files: Sequence[Path], *, slots: int = SLOTS, context: int = CONTEXT
) -> Contender:
    name = "llama-server" if path == files[0] else f"llama-server {path.stem}"
    return Contender(
        name,
        lambda timeout_s: llama_server(
            path,
            threads=options.threads,
            slots=slots,
            context=context,
            chat_template=options.chat_template,
            name=name,
            timeout_s=timeout_s,
        ),
        {"kind": "peer", "version": program_version("llama-server", "--version"), "file": path.name},
    )


def _ollama(options: Options, path: Path) -> Contender:
    return Contender(
        "ollama",
        lambda timeout_s: ollama(path, threads=options.threads, slots=SLOTS, context=CONTEXT, timeout_s=timeout_s),
        {"kind": "peer", "version": program_version("ollama", "--version"), "file": path.name},
    )


def _at_url(name: str, url: str) -> Contender:
    @contextlib.contextmanager
    def start(_timeout_s: float) -> Iterator[Server]:
        yield at_url(name, url)

    return Contender(name, start, {"kind": "peer", "url": url}, is_fresh=False)
