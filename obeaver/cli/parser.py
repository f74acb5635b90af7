"""Every command and its words. Imports nothing heavy: `obeaver --help` answers at once."""

import argparse
from typing import Any

from obeaver import __version__
from obeaver.cli.arguments import STORE_OPTIONS as _STORE_OPTIONS
from obeaver.cli.arguments import IntermixedParser, later, not_empty
from obeaver.cli.arguments import add_options as _add_options
from obeaver.cli.arguments import command as _command
from obeaver.cli.chat.sampling_flags import add_sampling_flags
from obeaver.cli.models.parser import add_model_commands
from obeaver.config import DASHBOARD_PORT, DEFAULT_EMBEDDING_MODEL, DEFAULT_MODEL, EMBED_PORT, options

_SHORTEST_CONTEXT = 64
_WEIGHTS_HELP = "format of the weights where the model is imported (default: fp32, exact; int8 is faster and smaller)"

_EMBED_OPTIONS = frozenset({"threads", "max_input_tokens", "provider"})
_CHAT_OPTIONS = frozenset(
    {
        *("runner", "chat_template", "max_rows", "kv_cache_mb", "lookahead"),
        *("prefix_cache_mb", "prefix_cache_dir", "prefix_cache_disk_mb"),
        *("keep_alive_s", "strict_model", "stream_keep_alive_s", "allow_pull", "trace"),
        *("no_store_responses", "stored_responses_mb", "stored_responses_age_s"),
    }
)
_PAGE_OPTIONS = frozenset({"open"})
_DASHBOARD_OPTIONS = frozenset(row.name for row in options()) - {"max_input_tokens"}
_SERVER_OPTIONS = frozenset(row.name for row in options()) - _CHAT_OPTIONS - _PAGE_OPTIONS
_ENGINE_OPTIONS = frozenset(
    {
        *("threads", "provider", "runner", "chat_template", "kv_cache_mb", "lookahead"),
        *("prefix_cache_mb", "prefix_cache_dir", "prefix_cache_disk_mb"),
    }
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole program. Each command sets `run`, a function from its arguments to an exit status."""
    parser = argparse.ArgumentParser(
        prog="obeaver",
        description="A local, OpenAI-compatible model server on ONNX Runtime.",
        epilog="Each option can also be set in the environment: --max-queue is OBEAVER_MAX_QUEUE.",
    )
    parser.add_argument("--version", action="version", version=f"obeaver {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=IntermixedParser)
    _add_serve(commands)
    _add_serve_embed(commands)
    _add_dashboard(commands)
    _add_ps(commands)
    _add_run(commands)
    _add_embed(commands)
    _add_pull(commands)
    _add_import(commands)
    add_model_commands(commands)
    return parser


def _add_serve(commands: Any) -> None:
    parser = _command(
        commands,
        "serve",
        later("obeaver.cli.serve", "run_serve"),
        "serve a chat model over the OpenAI API",
        (
            "obeaver serve",
            "obeaver serve smollm2-135m --port 8080",
            "obeaver serve smollm2-135m ~/Downloads/model.gguf --keep-alive 10m",
            "obeaver serve ~/models/my-onnx-folder --threads 4",
            "obeaver serve --provider openvino",
            "obeaver serve ~/Downloads/model.gguf",
            "obeaver serve --host 0.0.0.0 --api-key secret",
        ),
    )
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help=f"a catalogue name, a model folder or a GGUF file (default: {DEFAULT_MODEL}); of several, a request's "
        "`model` chooses one, and the first answers those that name none of them",
    )
    _add_options(parser, _DASHBOARD_OPTIONS - _PAGE_OPTIONS)


def _add_dashboard(commands: Any) -> None:
    parser = _command(
        commands,
        "dashboard",
        later("obeaver.cli.serve", "run_dashboard"),
        "serve a page to chat on, and the API of serve",
        (
            "obeaver dashboard",
            "obeaver dashboard smollm2-135m --open",
            "obeaver dashboard ~/Downloads/model.gguf --port 8080",
            "obeaver dashboard --host 0.0.0.0 --api-key secret",
        ),
    )
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="models as for serve, loaded at the start; without one, the page loads one of those that are installed",
    )
    _add_options(parser, _DASHBOARD_OPTIONS, port=DASHBOARD_PORT)


def _add_serve_embed(commands: Any) -> None:
    parser = _command(
        commands,
        "serve-embed",
        later("obeaver.cli.serve", "run_serve_embed"),
        "serve an embedding model or a reranker over the OpenAI API",
        (
            "obeaver serve-embed",
            "obeaver serve-embed all-minilm-l6-v2 --weights int8",
            "obeaver serve-embed qwen3-embedding-0.6b",
            "obeaver serve-embed ~/Downloads/bge-m3-FP16.gguf",
            "obeaver serve-embed ~/models/my-sentence-transformer --port 8081",
        ),
    )
    _add_embedding_model(parser)
    _add_options(parser, _SERVER_OPTIONS | _EMBED_OPTIONS, port=EMBED_PORT)


def _add_ps(commands: Any) -> None:
    parser = _command(
        commands,
        "ps",
        later("obeaver.cli.ps", "run_ps"),
        "list the servers that run over the store: models, address, memory, requests",
        ("obeaver ps", "obeaver ps --json", "obeaver ps --home /srv/models"),
    )
    parser.add_argument("--json", action="store_true", help="print it for programs")
    _add_options(parser, frozenset({"home"}))


def _add_embed(commands: Any) -> None:
    parser = _command(
        commands,
        "embed",
        later("obeaver.cli.embed", "run_embed"),
        "print the vectors of texts",
        (
            'obeaver embed "Beavers build dams."',
            "obeaver embed --json 'one text' 'another text'",
            "obeaver embed --npy vectors.npy < lines.txt",
        ),
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="MODEL | TEXT",
        help=f"a model, as for serve-embed (default: {DEFAULT_EMBEDDING_MODEL}), then texts; without one, the lines of "
        "standard input",
    )
    parser.add_argument("--json", action="store_true", help="print what the server would answer")
    parser.add_argument("--npy", metavar="FILE", help="write a NumPy array [texts, dimensions] of float32")
    parser.add_argument("--dimensions", type=int, metavar="N", help="only the first N numbers of each vector")
    parser.add_argument("--prompt-name", metavar="NAME", help="which of the model's prompts goes before each text")
    parser.add_argument("--truncate", action="store_true", help="cut off what a text has beyond the model's context")
    parser.add_argument("--weights", choices=("fp32", "int8"), default=None, help=_WEIGHTS_HELP)
    _add_options(parser, _STORE_OPTIONS | _EMBED_OPTIONS)


def _add_embedding_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_EMBEDDING_MODEL,
        metavar="MODEL",
        help=f"a catalogue name, a model folder or a GGUF file (default: {DEFAULT_EMBEDDING_MODEL})",
    )
    parser.add_argument("--weights", choices=("fp32", "int8"), default=None, help=_WEIGHTS_HELP)


def _add_run(commands: Any) -> None:
    parser = _command(
        commands,
        "run",
        later("obeaver.cli.chat.run", "run_run"),
        "chat with a model in the terminal, or answer one question",
        (
            "obeaver run",
            'obeaver run "Why is the sky blue?" --temperature 0',
            "obeaver run smollm2-135m --system 'Answer in one word.' --timings",
            "obeaver run ~/Downloads/model.gguf Tell me a story > story.txt",
            "cat notes.txt | obeaver run 'Summarise these notes:'",
        ),
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="MODEL | PROMPT",
        help=f"a model, as for serve (default: {DEFAULT_MODEL}), then a question; without one, a chat",
    )
    parser.add_argument("--system", metavar="TEXT", help="system prompt")
    parser.add_argument("--timings", action="store_true", help="tell after each answer what it took, on stderr")
    add_sampling_flags(parser)
    _add_options(parser, _STORE_OPTIONS | _ENGINE_OPTIONS)


def _add_pull(commands: Any) -> None:
    parser = _command(
        commands,
        "pull",
        later("obeaver.cli.models.pull", "run_pull"),
        "fetch a model into the store without serving it",
        (
            "obeaver pull",
            "obeaver pull smollm2-135m --weights int4",
            "obeaver pull hf:ORG/REPO                        # from the Hugging Face hub",
            "obeaver pull hf:ORG/REPO@v1.0:Q4_K_M --name mine",
            "obeaver pull hf:ORG/REPO:cuda/cuda-int4-rtn-block-32",
            "obeaver pull https://example.org/model.gguf#sha256=HASH",
            "obeaver pull smollm2-135m --json                # progress for programs",
        ),
    )
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help="a catalogue name, hf:ORG/REPO[@REVISION][:FILE-OR-FOLDER], or the URL of a GGUF file "
        f"(default: {DEFAULT_MODEL})",
    )
    parser.add_argument("--name", metavar="NAME", help="name in the store, for a model from an address")
    parser.add_argument("--weights", choices=("int8", "int4", "fp32"), help="format of the weights, where imported")
    parser.add_argument("--kv", choices=("int8", "float32"), help="format of the KV cache, where imported")
    _add_import_options(parser)
    parser.add_argument("--json", action="store_true", help="tell progress and outcome as one JSON object a line")
    _add_options(parser, _STORE_OPTIONS)


def _tokens(text: str) -> int:
    """A number of tokens that a context can have."""
    number = int(text) if text.isdecimal() else 0
    if number < _SHORTEST_CONTEXT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens from {_SHORTEST_CONTEXT}")
    return number


def _add_import_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--context",
        type=_tokens,
        metavar="N",
        help="tokens that an imported model can use (default: what its file says, 131072 at most)",
    )
    parser.add_argument(
        "--measure",
        action=argparse.BooleanOptionalAction,
        help="find out how near an imported model is to its file, for `obeaver show`; takes as long again "
        "(default: only `obeaver import` does, and only with files under 500 MB)",
    )


def _add_import(commands: Any) -> None:
    parser = _command(
        commands,
        "import",
        later("obeaver.cli.models.pull", "run_import"),
        "turn a GGUF file into a model folder in the store",
        (
            "obeaver import ~/Downloads/SmolLM2-135M-Instruct.Q4_1.gguf",
            "obeaver import model.gguf --name mine --weights int4",
        ),
    )
    parser.add_argument("file", type=not_empty, metavar="FILE.gguf", help="the GGUF file")
    parser.add_argument("--name", metavar="NAME", help="name in the store (default: from the file's name)")
    parser.add_argument("--weights", choices=("int8", "int4", "fp32"), default=None, help="format of the weights")
    parser.add_argument("--kv", choices=("int8", "float32"), default=None, help="format of the KV cache")
    _add_import_options(parser)
    _add_options(parser, _STORE_OPTIONS)
