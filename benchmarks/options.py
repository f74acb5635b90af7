"""The command line of `python -m benchmarks`: what a run is asked for, and what all its commands share."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from obeaver.config import DEFAULT_EMBEDDING_MODEL, DEFAULT_MODEL
from obeaver.threads import default_threads

GROUPS: Mapping[str, str] = {
    "load": "time from the command to the first healthy answer",
    "streams": "decode and prefill with 1, 4, 8 and 16 streams over HTTP, first tokens, gaps between tokens",
    "memory": "resident memory of the servers",
    "fidelity": "perplexity and KL divergence of the model in use",
    "open-loop": "mixed requests at random times, as people send them, and the same from clients that wait",
    "embeddings": "embeddings over HTTP beside a bare onnxruntime loop",
    "in-process": "HTTP beside the engine in process; the engine beside onnxruntime-genai's own",
    "context": "long prompts, long contexts",
    "conversation": "second turns, newcomers, stalls",
    "restart": "a second turn after the server was stopped and started again",
    "lookahead": "a lone stream of several kinds of text, with and without computing ahead",
    "constrained": "decoding under a JSON Schema beside free text",
}
QUICK_GROUPS = ("load", "streams", "memory", "fidelity", "open-loop", "embeddings")
QUICK_ROUNDS, QUICK_BUDGET_S = 2, 130.0
OVERTIME_S = 20.0
"""What runs when the budget is spent may go on for so long."""

_EPILOG = """\
examples:
  python -m benchmarks                                     everything: half an hour on two cores
  python -m benchmarks --quick                             what matters most, within three minutes
  python -m benchmarks --only streams --rounds 5           one group
  python -m benchmarks --only decode-8 --peer vllm=http://127.0.0.1:8000
  python -m benchmarks --model NAME --also NAME-int4       two formats of one model, each beside its fidelity
  python -m benchmarks --continue --budget 600             ten minutes more of a run that was stopped
  python -m benchmarks compare before.json after.json      what moved beyond the noise
  python -m benchmarks check                               the same figures from curl and a stopwatch

groups:
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for.

    Attributes:
        model: Name or folder of the chat model.
        embedding_model: Name or folder of the embedding model.
        also: Names or folders of other imports of the same file, which obeaver serves as contenders of their own.
        gguf: Further files that llama-server serves as contenders of their own.
        chat_template: Template file that obeaver and llama-server render conversations with; None for the model's own.
        providers: Execution providers; empty for all that are present.
        runners: Engine runners.
        peers: Names and URLs of servers that run already.
        only: Groups, questions, or first words of questions' names; empty for all.
        rounds: Measurements of each question.
        quick: Fewer questions and shorter ones.
        budget_s: Seconds after which no question is begun.
        threads: That compute, for everybody.
        rate_per_s: Requests a second of the open loop.
        seed: Of the open loop's arrivals and lengths.
        out: Folder for the results.
        keep: Whether to go on with the results that are there.
        embedding_peers: Interpreter, folder, ONNX file and names of in-process embedding peers, if any.
    """

    model: str = DEFAULT_MODEL
    embedding_model: str = DEFAULT_EMBEDDING_MODEL
    also: tuple[str, ...] = ()
    gguf: tuple[Path, ...] = ()
    chat_template: Path | None = None
    providers: tuple[str, ...] = ()
    runners: tuple[str, ...] = ("ort", "genai")
    peers: tuple[tuple[str, str], ...] = ()
    only: tuple[str, ...] = ()
    rounds: int = 3
    quick: bool = False
    budget_s: float = float("inf")
    threads: int = 1
    rate_per_s: float = 1.5
    seed: int = 1
    out: Path = Path("benchmarks/out")
    keep: bool = False
    embedding_peers: tuple[str, str, str, tuple[str, ...]] | None = None

    def wants(self, group: str, question: str) -> bool:
        """Whether a question is to be asked."""
        if not self.only:
            return not self.quick or group in QUICK_GROUPS
        return any(name in (group, question) or question.startswith(f"{name}-") for name in self.only)


def command_parser(name: str, description: str | None, *examples: str) -> argparse.ArgumentParser:
    """The parser of `python -m benchmarks NAME`.

    Args:
        name: Of the command.
        description: What it measures; shown as it is.
        examples: Words that may stand behind the name.
    """
    command = f"python -m benchmarks {name}"
    lines = [f"  {command} {words}".rstrip() for words in examples]
    return argparse.ArgumentParser(
        prog=command,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["examples:", *lines]) if lines else None,
    )


def add_model(parser: argparse.ArgumentParser, what: str = "what to serve") -> None:
    """The option that names the chat model."""
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"{what} (default {DEFAULT_MODEL})")


def add_count(parser: argparse.ArgumentParser, flag: str, default: int, what: str) -> None:
    """An option that takes a whole number, at least 1."""
    parser.add_argument(flag, type=_count, default=default, metavar="N", help=f"{what} (default {default})")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a run."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG + "".join(f"  {name:14} {what}\n" for name, what in GROUPS.items())
    add = parser.add_argument
    add("--quick", action="store_true", help=f"{', '.join(QUICK_GROUPS)}; {QUICK_ROUNDS} rounds; within 3 minutes")
    add("--only", action="append", default=[], metavar="NAME", help="a group or a question; may be repeated")
    add("--list", action="store_true", help="show the questions and who is asked, measure nothing")
    add("--rounds", type=_count, metavar="N", help="measurements of each question (default 3)")
    add("--budget", type=_seconds, metavar="S", help="begin no question after so many seconds")
    add("--continue", action="store_true", dest="keep", help="add to the results that --out holds")
    add(
        "--provider",
        action="append",
        default=[],
        metavar="NAME",
        help="execution provider (default: all that are here)",
    )
    add("--runner", action="append", default=[], choices=("ort", "genai"), help="engine runner (default: both)")
    add("--peer", action="append", default=[], type=_peer, metavar="NAME=URL", help="a server that runs already")
    add_model(parser, "name or folder of the chat model")
    add("--embedding-model", default=DEFAULT_EMBEDDING_MODEL, metavar="MODEL", help="the same for embeddings")
    add(
        "--also", action="append", default=[], metavar="MODEL", help="another import of the same file, in turns with it"
    )
    add("--gguf", action="append", default=[], type=Path, metavar="FILE", help="a further file for llama-server")
    add("--chat-template", type=Path, metavar="FILE", help="of a model that has none; llama-server gets the same")
    add("--threads", type=_count, default=default_threads(), metavar="N", help="threads that compute, for everybody")
    add("--rate", type=_seconds, default=1.5, metavar="R", help="requests a second of the open loop (default 1.5)")
    add("--seed", type=int, default=1, metavar="N", help="of the open loop's times and lengths (default 1)")
    add("--out", type=Path, default=Path("benchmarks/out"), metavar="DIR", help="folder for JSON, plots and RESULTS.md")
    peers = parser.add_argument_group("embedding peers, in process, from an environment that has their packages")
    peers.add_argument("--embedding-python", metavar="FILE", help="the environment's interpreter")
    peers.add_argument("--embedding-folder", metavar="DIR", help="folder with tokenizer and ONNX export")
    peers.add_argument("--embedding-onnx", default="onnx/model.onnx", metavar="FILE", help="the export in that folder")
    peers.add_argument(
        "--embedding-peer", action="append", default=[], choices=("fastembed", "sentence-transformers"), help="which"
    )


def run_options(arguments: argparse.Namespace) -> Options:
    """From the parsed command line."""
    embedding_peers = None
    if arguments.embedding_python and arguments.embedding_folder:
        names = tuple(arguments.embedding_peer)
        embedding_peers = (arguments.embedding_python, arguments.embedding_folder, arguments.embedding_onnx, names)
    quick = arguments.quick
    return Options(
        model=arguments.model,
        embedding_model=arguments.embedding_model,
        also=tuple(arguments.also),
        gguf=tuple(arguments.gguf),
        chat_template=arguments.chat_template,
        providers=tuple(arguments.provider),
        runners=tuple(arguments.runner) or ("ort", "genai"),
        peers=tuple(arguments.peer),
        only=tuple(arguments.only),
        rounds=arguments.rounds or (QUICK_ROUNDS if quick else 3),
        quick=quick,
        budget_s=arguments.budget or (QUICK_BUDGET_S if quick else float("inf")),
        threads=arguments.threads,
        rate_per_s=arguments.rate,
        seed=arguments.seed,
        out=arguments.out,
        keep=arguments.keep,
        embedding_peers=embedding_peers,
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, not {text}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {text}")
    return value


def _peer(text: str) -> tuple[str, str]:
    name, _, url = text.partition("=")
    if not name or not url.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"must be NAME=URL, such as vllm=http://127.0.0.1:8000, not {text}")
    return name, url


def described(options: Options, questions: Sequence[str]) -> dict[str, object]:
    """The options as the results record them."""
    return {
        "model": options.model,
        "embedding_model": options.embedding_model,
        "rounds": options.rounds,
        "quick": options.quick,
        "threads": options.threads,
        "rate_per_s": options.rate_per_s,
        "seed": options.seed,
        "only": list(options.only),
        "questions": list(questions),
    }
