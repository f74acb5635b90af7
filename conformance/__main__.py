"""The command line: `python -m conformance --help`."""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

from conformance import recordings, report, sdk_schemas
from conformance.cases import Case, all_cases, orders
from conformance.dialects import BY_NAME, NEEDS
from conformance.http_bytes import NoAnswer
from conformance.live import LANGUAGES, NPM_PACKAGES, CannotRun, live
from conformance.proxy import proxy
from conformance.replay import HTTP, replay
from conformance.results import FAIL, NOT_OFFERED, Result, load_gaps, with_gaps
from conformance.servers import DidNotStart, started
from conformance.targets import Target, Targets

EXAMPLES = """examples:
  python -m conformance replay --base-url http://127.0.0.1:18000/v1
  python -m conformance live --base-url http://127.0.0.1:18000/v1 --clients python,node --dialects anthropic
  python -m conformance all --base-url http://127.0.0.1:8080/v1 --features chat,models --markdown report.md
  python -m conformance all --start conformance/servers.json
  python -m conformance cases --sdk openai --client python --base-url http://127.0.0.1:18000/v1 > orders.jsonl
  python -m conformance record --upstream http://127.0.0.1:18000/v1 --out conformance/recordings -- \\
      python -m conformance.clients.openai_client --labelled < orders.jsonl
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; 0 if everything passed or is a listed gap, 1 if not, 2 for wrong usage."""
    arguments = _parser().parse_args(words)
    try:
        status: int = arguments.run(arguments)
    except (NoAnswer, CannotRun, DidNotStart, OSError, ValueError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1
    return status


def run_tests(arguments: argparse.Namespace) -> int:
    """`replay`, `live` and `all`."""
    with _addresses(arguments) as addresses:
        if not addresses.get("base_url"):
            raise ValueError("say where the server is: --base-url or --start")
        targets = Targets.of(
            addresses["base_url"],
            embeddings_url=addresses.get("embeddings_url"),
            guard_url=addresses.get("guard_url"),
            api_key=addresses.get("api_key") or "unused",
        )
        chosen = _chosen(arguments)
        missing = targets.missing()
        reasons = {case.name: missing.get((case.dialect.name, case.needs)) for case in chosen}
        offered = [case for case in chosen if reasons[case.name] is None]
        results = [_not_offered(case, reason) for case in chosen if (reason := reasons[case.name])]
        results += _made(arguments, offered, targets)
    if arguments.gaps:
        results = with_gaps(results, load_gaps(Path(arguments.gaps)))
    _publish(arguments, results, targets)
    return int(any(item.outcome == FAIL for item in results))


def _not_offered(case: Case, reason: str) -> Result:
    client = HTTP if case.is_http else "SDKs"
    return Result(case.dialect.title, case.feature, case.name, client, NOT_OFFERED, (reason,))


def _made(arguments: argparse.Namespace, cases: Sequence[Case], targets: Targets) -> list[Result]:
    results: list[Result] = []
    if arguments.command in {"replay", "all"}:
        captured = recordings.load(Path(arguments.recordings))
        progress = tqdm(
            replay(cases, captured, targets, jobs=arguments.jobs), desc="replay", unit=" tests", leave=False
        )
        results += progress
    if arguments.command in {"live", "all"}:
        for language in tqdm(arguments.clients.split(","), desc="live", unit=" clients", leave=False):
            results += live(cases, language, targets)
    place = {case.name: number for number, case in enumerate(cases)}
    return sorted(results, key=lambda item: place[item.case])


def _publish(arguments: argparse.Namespace, results: Sequence[Result], targets: Targets) -> None:
    names = dict.fromkeys(model for target in targets.servers for model in target.facts.model_ids)
    about = {
        "Models": ", ".join(names) or "none listed",
        "Object models": sdk_schemas.VERSIONS,
        "Python": platform.python_version(),
        "Result": report.summary(results),
    }
    print(report.as_text(results))
    if arguments.json:
        text = json.dumps(report.as_object(results, about), indent=1, ensure_ascii=False)
        Path(arguments.json).write_text(text + "\n", encoding="utf-8")
    if arguments.markdown:
        Path(arguments.markdown).write_text(report.as_markdown(results, about), encoding="utf-8")


def print_cases(arguments: argparse.Namespace) -> int:
    """`cases`: the orders for a client program, one a line."""
    target = Target(arguments.base_url)
    target.learn()
    cases = [case for case in _chosen(arguments) if case.is_recorded and case.dialect.sdk == arguments.sdk]
    for order in orders(cases, arguments.client, target.facts.model):
        print(json.dumps(order, ensure_ascii=False))
    return 0


def record(arguments: argparse.Namespace) -> int:
    """`record`: run a command whose traffic goes through a proxy, and keep what went by."""
    url = urlsplit(arguments.upstream)
    target = Target(arguments.upstream, os.environ.get("OPENAI_API_KEY", "unused"))
    target.learn()
    recorder = recordings.Recorder(f"{url.scheme}://{url.netloc}", target.facts.model_ids)
    with proxy(recorder) as address:
        places = {"OPENAI_BASE_URL": address + url.path, "ANTHROPIC_BASE_URL": address, "OLLAMA_HOST": address}
        environ = {"OPENAI_API_KEY": "unused", "ANTHROPIC_API_KEY": "unused"} | os.environ | places
        status = subprocess.run(arguments.words, env=environ, check=False).returncode
    for recording in recorder.recordings.values():
        path = recordings.add(recording, Path(arguments.out))
        print(f"{path}: {len(recording.sessions)} sessions of {recording.title}", file=sys.stderr)
    return status


def _chosen(arguments: argparse.Namespace) -> list[Case]:
    words = (arguments.case or "").lower()
    chosen = [case for case in all_cases() if words in case.name.lower()]
    if arguments.dialects:
        chosen = [case for case in chosen if case.dialect.name in arguments.dialects.split(",")]
    if arguments.features:
        chosen = [case for case in chosen if case.needs in arguments.features.split(",")]
    if not chosen:
        raise ValueError("no case is of these --dialects and --features and has the text of --case in its name")
    return chosen


@contextlib.contextmanager
def _addresses(arguments: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    given = {name: getattr(arguments, name) for name in ("base_url", "embeddings_url", "guard_url", "api_key")}
    if not arguments.start:
        yield given
        return
    with started(Path(arguments.start)) as found:
        yield found | {name: value for name, value in given.items() if value}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m conformance",
        description="Does this server speak the protocols of OpenAI, Anthropic and Ollama? Asks as their SDKs do.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    helps = {
        "replay": "send captured traffic of the SDKs again and check the answers byte by byte",
        "live": "let the SDKs themselves drive the server",
        "all": "both",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text)
        _add_test_options(command, name)
        command.set_defaults(run=run_tests)
    listing = commands.add_parser("cases", help="print what a client program is to do, for `record`")
    listing.add_argument("--sdk", choices=sorted(NPM_PACKAGES), default="openai")
    listing.add_argument("--client", choices=LANGUAGES, default="python")
    listing.add_argument("--base-url", required=True, help="the server that lists the models to ask for")
    _add_choice_options(listing)
    listing.set_defaults(run=print_cases)
    recording = commands.add_parser("record", help="capture the traffic of a command")
    recording.add_argument("--upstream", required=True, help="base URL of a server that answers")
    recording.add_argument("--out", required=True, help="folder of the recordings")
    recording.add_argument("words", nargs="+", metavar="CMD", help="a command that uses an SDK; after --")
    recording.set_defaults(run=record)
    return parser


def _add_choice_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dialects", help=f"only cases of these: {', '.join(BY_NAME)}")
    command.add_argument("--features", help=f"only cases that need one of these: {', '.join(NEEDS)}")
    command.add_argument("--case", help="only cases with this in their names")


def _add_test_options(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("--base-url", help="the server, with the path that SDKs are given, such as /v1")
    command.add_argument("--embeddings-url", help="another server for embeddings")
    command.add_argument("--guard-url", help="a server with an API key and little room, for keys and overload")
    command.add_argument("--api-key", help="bearer token for all of them")
    command.add_argument("--start", metavar="FILE", help="start the servers of this file on free ports first")
    _add_choice_options(command)
    command.add_argument("--gaps", metavar="FILE", help="known gaps with their reasons")
    command.add_argument("--json", metavar="FILE", help="write the report as JSON")
    command.add_argument("--markdown", metavar="FILE", help="write the report as Markdown")
    if name != "live":
        command.add_argument("--recordings", metavar="DIR", default=str(recordings.FOLDER), help="captured traffic")
        command.add_argument("--jobs", type=int, default=1, help="replay this many tests at once (default: 1)")
    if name != "replay":
        command.add_argument("--clients", default=",".join(LANGUAGES), help="which SDKs: %(default)s")


if __name__ == "__main__":
    sys.exit(main())
