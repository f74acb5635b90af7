"""Settings: the one table of options. The command line, the environment, `--help` and the docs all read it.

Precedence: a command-line flag, then the environment variable, then the default. For the model store's folder, what
`obeaver init` remembers stands before the default.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from obeaver.errors import CommandError
from obeaver.home import DEFAULT_HOME, remembered_home
from obeaver.option_values import (
    api_key,
    duration,
    host_name,
    listening_address,
    megabytes,
    num_threads,
    page_origin,
    port,
    seconds,
)

DEFAULT_MODEL = "smollm2-135m"
"""What the chat commands use when no model is named."""

EMBED_JSON_VALUES = 400_000
"""Most JSON values of a body that `serve-embed` takes: a text can come as its token ids, up to some 300,000 in all."""

DEFAULT_PORT = 18000
EMBED_PORT = 18001
DASHBOARD_PORT = 1573
"""Where `serve`, `serve-embed` and `dashboard` listen."""

DEFAULT_EMBEDDING_MODEL = "all-minilm-l6-v2"
"""The same for the embedding commands."""

EMBED_PORT = 18001
"""Where `serve-embed` listens by default: a chat server may stand beside it."""

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})


def _option(
    default: Any,
    help: str,  # noqa: A002
    *,
    metavar: str = "N",
    minimum: float | None = None,
    parse: Callable[[str], Any] | None = None,
) -> Any:
    return field(default=default, metadata={"help": help, "metavar": metavar, "minimum": minimum, "parse": parse})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server is told. Each field is a flag (`--max-queue`) and a variable (`OBEAVER_MAX_QUEUE`)."""

    home: Path = _option(DEFAULT_HOME, "folder of the model store, unless obeaver init chose another", metavar="DIR")
    host: str = _option("127.0.0.1", "address to listen on", metavar="ADDRESS", parse=listening_address)
    port: int = _option(DEFAULT_PORT, "port to listen on; 0 picks a free one", parse=port)
    api_key: tuple[str, ...] = _option(
        (),
        "key that clients must send as a bearer token; may be repeated: any of them will do",
        metavar="KEY",
        parse=api_key,
    )
    api_key_file: str = _option(
        "", "file with further keys, one in a line; a line that begins with # is a comment", metavar="FILE"
    )
    tls_cert: str = _option("", "certificate with its chain (PEM): serve HTTPS", metavar="FILE")
    tls_key: str = _option("", "the certificate's key (PEM), where it is not in the same file", metavar="FILE")
    insecure: bool = _option(False, "allow a non-loopback address without an API key")
    cors_origin: tuple[str, ...] = _option(
        (), "page origin that may call beside the loopback ones; may be repeated", metavar="ORIGIN", parse=page_origin
    )
    allowed_host: tuple[str, ...] = _option(
        (),
        "Host header that is answered beside this server's own names; may be repeated",
        metavar="NAME",
        parse=host_name,
    )
    threads: int = _option(0, "threads that compute; 0: one per physical core", parse=num_threads)
    runner: Literal["auto", "ort", "genai"] = _option(
        "auto",
        "what runs the decoder: straight onnxruntime where the graph allows it, or onnxruntime-genai",
        metavar="RUNNER",
    )
    int4_compute: Literal["auto", "int4", "int8"] = _option(
        "auto",
        "how an import in int4 computes: as int8, which reads prompts several times as fast, or as it is stored, which "
        "takes less memory; auto: as int8 where there is memory for it",
        metavar="FORM",
    )
    provider: str = _option(
        "auto",
        "execution provider that computes: auto, cpu, or another that is installed, such as cuda, webgpu or openvino; "
        "NAME:DEVICE picks one of its devices, as in openvino:gpu",
        metavar="NAME",
    )
    chat_template: str = _option(
        "", "file with a chat template (Jinja), used in place of the model's own", metavar="FILE"
    )
    max_rows: int = _option(16, "sequences computed together", minimum=1)
    max_queue: int = _option(256, "requests that may wait for a place; more are answered 429", minimum=0)
    max_queue_tokens: int = _option(
        1_000_000, "tokens of prompts that may wait for a place; more are answered 429; 0: any number", minimum=0
    )
    max_client_requests: int = _option(
        0,
        "requests that one client (API key, or address) may have open; more are answered 429; 0: any number",
        minimum=0,
    )
    max_input_tokens: int = _option(
        0, "longest text that an embedding model is given; 0: what the model was made for", minimum=0
    )
    kv_cache_mb: int = _option(0, "memory for keys and values; 0: a quarter of what is free at start", minimum=0)
    prefix_cache_mb: int = _option(
        -1,
        "memory for keys and values kept after a request ended; -1: a quarter of the KV memory, at most 512",
        minimum=-1,
    )
    prefix_cache_dir: str = _option(
        "",
        "folder where the prefix cache is kept on the disk too, so that conversations go on cheaply after a restart; "
        "its files tell of prompts",
        metavar="DIR",
    )
    prefix_cache_disk_mb: float = _option(
        2000.0, "disk space for it; what was not used for the longest time goes first", minimum=1, parse=megabytes
    )
    lookahead: int = _option(
        7,
        "tokens computed ahead of a stream that runs alone, where its text repeats what it said before; never changes "
        "an answer; 0: none",
        minimum=0,
    )
    max_body_mb: float = _option(10.0, "largest request body", minimum=0.001, parse=megabytes)
    max_json_values: int = _option(
        150_000, "most JSON values in a request body (400000 for serve-embed); more are a 413", minimum=1
    )
    max_messages: int = _option(2048, "most messages of a conversation", minimum=1)
    max_tools: int = _option(128, "most tools of a request, up to 128", minimum=0)
    max_schema_values: int = _option(
        20_000, "most JSON values in the schemas of a request's tools and answer together", minimum=1
    )
    max_schema_kb: int = _option(
        500, "longest text of a request's schemas, descriptions, grammars and choices together, in kB", minimum=1
    )
    max_stop_chars: int = _option(4096, "longest text of a request's stop strings together", minimum=0)
    max_choices: int = _option(128, "most answers to one request, up to 128", minimum=1)
    max_logprobs: int = _option(
        1_000_000, "most log-probabilities that the answers to a request may have, alternatives counted", minimum=1
    )
    max_unsent_kb: int = _option(
        256, "memory for what a client has not read of an answer, in kB; beyond it the answer stands still", minimum=1
    )
    keep_alive_s: float = _option(
        0.0,
        "unload a model that nobody has used for so long (30s, 10m, 1h); the next request loads it again; 0 or never: "
        "it stays",
        metavar="TIME",
        parse=duration,
    )
    no_store_responses: bool = _option(
        False, "store no responses of /v1/responses: nothing that was said is written to the disk"
    )
    stored_responses_mb: float = _option(
        256.0, "disk space for stored responses; the oldest go first", metavar="N", minimum=1, parse=megabytes
    )
    stored_responses_age_s: float = _option(
        30 * 86400.0,
        "how long a response is stored (12h, 90d), 30 days if not given; 0 or never: as long as there is room",
        metavar="TIME",
        parse=duration,
    )
    strict_model: bool = _option(
        False, "answer 404 to a request that names another model, where else the first model answers"
    )
    stream_keep_alive_s: float = _option(
        10.0,
        "silence after which a stream gets a comment that keeps its connection",
        metavar="S",
        minimum=0.1,
        parse=seconds,
    )
    receive_timeout_s: float = _option(
        60.0,
        "how long a client may take to send a request's head, and then its body; slower ones get a 408",
        metavar="S",
        minimum=0.1,
    )
    idle_timeout_s: float = _option(
        75.0,
        "how long a connection may wait for its next request, before it is closed; longer than clients keep theirs",
        metavar="S",
        minimum=0,
        parse=seconds,
    )
    request_timeout_s: float = _option(
        0.0,
        "how long an answer may take (30s, 10m, 1h) before it ends with an error; 0 or never: as long as it takes",
        metavar="TIME",
        parse=duration,
    )
    write_timeout_s: float = _option(
        60.0, "how long a client may read nothing of what waits for it, before it is cut off", metavar="S", minimum=0.1
    )
    shutdown_timeout_s: float = _option(
        30.0,
        "how long running answers may go on after a stop signal, or on an exchanged model that the next load waits for",
        metavar="S",
        minimum=0,
        parse=seconds,
    )
    restart_engine: bool = _option(
        False,
        "start an engine that has failed anew, in 1 s, then in 2 and so on up to 60; requests get a 503 meanwhile",
    )
    allow_pull: bool = _option(
        False, "let clients fetch models of the catalogue and of the hub into the store (POST /api/models/pull)"
    )
    open: bool = _option(False, "open the page in this machine's browser (obeaver dashboard)")
    offline: bool = _option(False, "never fetch; use what the store holds")
    log_level: Literal["debug", "info", "warning", "error"] = _option("info", "how much to log", metavar="LEVEL")
    log_format: Literal["text", "json"] = _option("text", "lines for people, or one JSON object a line", metavar="FORM")
    log_prompts: bool = _option(
        False,
        "write what clients send and are answered into the log, at level info; without it no log has prompts, answers "
        "or keys",
    )
    trace: str = _option(
        "",
        "write the engine's steps to this file, for Perfetto or chrome://tracing; it grows with what is computed",
        metavar="FILE",
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK_HOSTS or self.host.startswith("127.")

    def check(self) -> None:
        """Refuse what would expose the machine.

        Raises:
            CommandError: A non-loopback address has no API key and `insecure` was not given, or options contradict
                each other.
        """
        if not (self.is_loopback or self.api_key or self.api_key_file or self.insecure):
            raise CommandError(
                f"{self.host} can be reached from other machines: give --api-key, or --insecure to serve without one"
            )
        if self.tls_key and not self.tls_cert:
            raise CommandError("--tls-key needs --tls-cert")
        if self.prefix_cache_dir and not self.prefix_cache_mb:
            raise CommandError("--prefix-cache-dir needs a prefix cache in memory: --prefix-cache-mb must not be 0")


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: a field of Settings, told for people and parsers."""

    name: str
    kind: type
    default: Any
    help: str
    metavar: str
    choices: tuple[str, ...]
    repeated: bool
    minimum: float | None
    parser: Callable[[str], Any] | None

    @property
    def flag(self) -> str:
        """`--max-queue`."""
        return "--" + self.name.removesuffix("_s").replace("_", "-")

    @property
    def env(self) -> str:
        """`OBEAVER_MAX_QUEUE`."""
        return "OBEAVER_" + self.name.removesuffix("_s").upper()

    def parse(self, text: str) -> Any:
        """Turn text from a flag or a variable into the field's value.

        Raises:
            ValueError: The text is not such a value; the message says what is.
        """
        if self.kind is bool:
            return _parse_bool(text)
        if self.choices and text not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        try:
            value = (self.parser or self.kind)(text)
        except ValueError as error:
            if self.parser is not None:
                raise
            raise ValueError(f"must be {'a whole number' if self.kind is int else 'a number'}") from error
        if self.minimum is not None and not value >= self.minimum:
            raise ValueError(f"must be at least {self.minimum:g}")
        return value


def _parse_bool(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError("must be 1 or 0")


def options() -> tuple[Option, ...]:
    """The table, in the order of the fields."""
    rows = []
    for item in fields(Settings):
        origin = get_origin(item.type)
        rows.append(
            Option(
                name=item.name,
                kind=str if origin in (tuple, Literal) else item.type,  # type: ignore[arg-type]
                default=item.default,
                help=item.metadata["help"],
                metavar=item.metadata["metavar"],
                choices=get_args(item.type) if origin is Literal else (),
                repeated=origin is tuple,
                minimum=item.metadata["minimum"],
                parser=item.metadata["parse"],
            )
        )
    return tuple(rows)


def load_settings(flags: Mapping[str, Any], environ: Mapping[str, str], **defaults: Any) -> Settings:
    """Settings from flags, then the environment, then `defaults`, then the table.

    Args:
        flags: Field name to value; None means that the flag was not given.
        environ: The process environment.
        defaults: Defaults of one command that differ from the table, such as its port.

    Raises:
        CommandError: A variable cannot be understood; names it. Or nobody says where the model store is, and it is
            being moved.
    """
    values: dict[str, Any] = dict(defaults)
    for row in options():
        if (given := flags.get(row.name)) is not None:
            values[row.name] = tuple(given) if row.repeated else given
        elif environ.get(row.env):
            values[row.name] = _from_environment(row, environ[row.env])
    values["home"] = Path(values.get("home") or remembered_home()).expanduser()
    return Settings(**values)


def _from_environment(row: Option, text: str) -> Any:
    try:
        if row.repeated:
            return tuple(row.parse(part) for part in _split(text))
        return row.parse(text)
    except ValueError as error:
        raise CommandError(f"the environment variable {row.env} {error}") from None


def _split(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
