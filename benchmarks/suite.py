"""A run: find models and contenders, ask the questions, write what comes out."""

import contextlib
import datetime
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.bench import Bench
from benchmarks.conductor import Conductor, Question
from benchmarks.contenders.fleet import Fleet, warm_up_chat
from benchmarks.contenders.present import chat_contenders, reads_far
from benchmarks.options import OVERTIME_S, Options, described
from benchmarks.questions import (
    chat,
    constrained,
    conversation,
    embeddings,
    in_process,
    lookahead,
    model_fidelity,
    open_loop,
    processes,
    restart,
)
from benchmarks.results import environment
from benchmarks.results.document import NotResults, Results, read_results
from benchmarks.results.markdown import write_markdown
from benchmarks.results.plots import write_plots
from benchmarks.results.terminal import print_results
from benchmarks.time_limit import TimeLimit
from obeaver.config import load_settings
from obeaver.errors import CommandError
from obeaver.models.progress import TerminalProgress
from obeaver.models.pull import ensure_model
from obeaver.models.store import Store, StoredModel

RESULTS, PAGE = "results.json", "RESULTS.md"


def run(options: Options) -> int:
    """Measure, print, write JSON, plots and a page.

    Raises:
        CommandError: A model cannot be found, no question has a name that was asked for, or the results that the run is
            to go on with are of another kind.
    """
    began_s = time.monotonic()
    path = options.out / RESULTS
    limit = TimeLimit(began_s + options.budget_s + OVERTIME_S)
    with _bench(options, limit) as (bench, results):
        questions = asked_questions(bench)
        asked = [*results.settings.get("questions", ()), *(question.id for question in questions)]
        results.settings = described(options, list(dict.fromkeys(asked)))
        before_s = results.seconds

        def save() -> None:
            results.seconds = before_s + time.monotonic() - began_s
            results.write(path)

        conductor = Conductor(results, save, options.rounds, deadline_s=began_s + options.budget_s)
        complete = conductor.conduct(questions)
    save()
    print_results(results)
    plots = _plots(results, options.out)
    write_markdown(results, options.out / PAGE, plots)
    tqdm.write(f"written: {', '.join(str(each) for each in (path, options.out / PAGE, *plots))}")
    if not complete:
        tqdm.write("the time was up before all rounds were made; --continue goes on")
    return 0


def _plots(results: Results, folder: Path) -> list[Path]:
    try:
        return write_plots(results, folder)
    except ImportError:
        tqdm.write("no plots: pip install 'obeaver[bench]' brings matplotlib")
        return []


def show_questions(options: Options) -> int:
    """Print the questions and who would be asked; measure nothing."""
    with _bench(options, TimeLimit()) as (bench, _):
        for question in asked_questions(bench):
            print(f"{question.group:14} {question.id:24} {', '.join(question.measures)}")
    return 0


def asked_questions(bench: Bench) -> list[Question]:
    """The questions that are asked for, in the order in which they are asked.

    Raises:
        CommandError: There are none.
    """
    asked = [each for each in _questions(bench) if bench.options.wants(each.group, each.id)]
    if not asked:
        raise CommandError(f"no question is named {', '.join(bench.options.only)}: --list shows them all")
    return asked


def _questions(bench: Bench) -> Iterator[Question]:
    options = bench.options
    # First, so that what a question takes does not hold the start of the servers.
    yield processes.load_question(bench)
    yield from chat.questions(bench)
    yield processes.memory_question(bench)
    yield from model_fidelity.questions(bench)
    yield from open_loop.questions(bench)
    yield from embeddings.questions(bench, lambda: _stored(options.embedding_model))
    yield from in_process.questions(bench)
    yield from conversation.questions(bench)
    yield from restart.questions(bench)
    yield from lookahead.questions(bench)
    yield from constrained.questions(bench)


@contextlib.contextmanager
def _bench(options: Options, limit: TimeLimit) -> Iterator[tuple[Bench, Results]]:
    stored = _stored(options.model)
    sources = Store(load_settings({}, os.environ).home).sources
    source = sources.find(stored.recipe.source_sha256) if stored.recipe else None
    also = [_another_import(model, stored) for model in options.also]
    results = _results(options, [stored.folder, *also], source)
    with contextlib.ExitStack() as stack:
        contenders = chat_contenders(options, stored.folder, source, also, far=reads_far(stored.folder))
        fleet = stack.enter_context(Fleet(contenders, limit, warm_up_chat, results.contenders.__setitem__))
        yield Bench(options, stored.folder, source, fleet, stack, limit), results


def _stored(model: str) -> StoredModel:
    return ensure_model(model, Store(load_settings({}, os.environ).home), progress=TerminalProgress())


def _another_import(model: str, stored: StoredModel) -> Path:
    """The folder of another import.

    Raises:
        CommandError: It is not known to be one of the same file: what is measured would be compared with another model.
    """
    found = _stored(model)
    if not (stored.recipe and found.recipe and found.recipe.source_sha256 == stored.recipe.source_sha256):
        raise CommandError(f"{model} is not another import of the file that {stored.name} was imported from")
    return found.folder


def _results(options: Options, folders: Sequence[Path], source: Path | None) -> Results:
    graphs = [file for folder in folders for file in sorted(folder.glob("*.onnx*"))]
    files = [*graphs, *([source] if source else []), *options.gguf]
    here = environment.describe(files)
    if not options.keep:
        return Results({}, here, datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
    try:
        results = read_results(options.out / RESULTS)
    except NotResults as error:
        raise CommandError(f"cannot continue: {error}") from None
    if results.environment["models"] != here["models"]:
        raise CommandError("cannot continue: the results are those of another model")
    commits = str(results.environment["commit"]).split(", ")
    if here["commit"] not in commits:
        results.environment["commit"] = ", ".join([*commits, str(here["commit"])])
    return results
