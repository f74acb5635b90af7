"""`serve`, `serve-embed`, `dashboard`: find or fetch models, then run the application under uvicorn until a signal."""

import argparse
import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from obeaver.cli.browser import open_browser
from obeaver.cli.http_protocol import HttpProtocol
from obeaver.cli.logs import log_to_stderr
from obeaver.cli.stored import better_than_default, chat_model, encoder_model
from obeaver.config import DASHBOARD_PORT, DEFAULT_MODEL, EMBED_JSON_VALUES, EMBED_PORT, Settings, load_settings
from obeaver.engine.sessions.providers import choose_provider
from obeaver.errors import CommandError

if TYPE_CHECKING:
    from obeaver.app.application import Application
    from obeaver.models.store import StoredModel

logger = logging.getLogger("obeaver")

_FORCE_AFTER_S = 5
"""Grace after the application's own limit, for answers that are just being written."""

_CLOSING_S = 10
"""For engines to end their steps and to give their memory back."""

_LAST_WORDS_S = 2
"""After a second signal: for the events that tell clients that their answers were cut."""


def run_serve_embed(arguments: argparse.Namespace) -> int:
    """Serve an embedding model until SIGINT or SIGTERM.

    Raises:
        CommandError: As for `run_serve`.
    """
    settings = load_settings(vars(arguments), os.environ, port=EMBED_PORT, max_json_values=EMBED_JSON_VALUES)
    return _serve("serve-embed", settings, lambda: _compose_embed(settings, arguments.model, arguments.weights))


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises:
        CommandError: Wrong settings, a port in use, no model, a model that does not load.
    """
    settings = load_settings(vars(arguments), os.environ)
    return _serve("serve", settings, lambda: _compose_chat(settings, arguments.models))


def run_dashboard(arguments: argparse.Namespace) -> int:
    """Serve the page and the chat API until SIGINT or SIGTERM; without a model, the page loads one.

    Raises:
        CommandError: As for `run_serve`.
    """
    settings = load_settings(vars(arguments), os.environ, port=DASHBOARD_PORT)
    return _serve("dashboard", settings, lambda: _compose_dashboard(settings, arguments.models))


def _serve(command: str, settings: Settings, compose: Callable[[], "Application"]) -> int:
    # Bound before anything else, so that an address that is none and a port in use are told at once. Nobody can
    # connect yet.
    with contextlib.closing(_bind(settings)) as listener:
        settings.check()
        choose_provider(settings.provider)  # a model may be fetched first, and for nothing
        log_to_stderr(settings.log_level, settings.log_format)
        if settings.log_prompts:
            logger.warning("--log-prompts: this log has everything that clients send and are answered")
        application = compose()
        url = _url(settings, listener)
        with _listed(command, url, application, settings):
            return _run(application, settings, listener, url)


@contextlib.contextmanager
def _listed(command: str, url: str, application: "Application", settings: Settings) -> Iterator[None]:
    """Let `obeaver ps` show the server for the length of the block; say who else serves from this store."""
    from obeaver.app.running_servers import RunningServer, RunningServers

    servers = RunningServers(settings.home)
    for other in servers.all():
        logger.info("another obeaver serves from %s: %s (process %d)", settings.home, other.url, other.pid)
    with servers.listed(RunningServer(command, url, application.models)):
        yield


def _url(settings: Settings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{'https' if settings.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _compose_chat(settings: Settings, models: Sequence[str]) -> "Application":
    from obeaver.app.chat import chat_application

    if not models:
        logger.info("%s", better_than_default("serve"))
    return chat_application(settings, *_chat_models(settings, models or [DEFAULT_MODEL]))


def _compose_dashboard(settings: Settings, models: Sequence[str]) -> "Application":
    from obeaver.app.dashboard import dashboard_application

    return dashboard_application(settings, *_chat_models(settings, models))


def _chat_models(settings: Settings, models: Sequence[str]) -> "list[StoredModel]":
    from obeaver.app.given_template import check_given_template
    from obeaver.models.store import Store

    check_given_template(settings, len(models))
    store = Store(settings.home)
    found = [chat_model(model, settings, store) for model in models]
    names = [stored.name for stored in found]
    for name in names:
        if names.count(name) > 1:
            raise CommandError(f"{name} is given twice: each of several models needs a name of its own")
    return found


def _compose_embed(settings: Settings, model: str, weights: str | None) -> "Application":
    from obeaver.app.embed import embed_application
    from obeaver.models.store import Store

    return embed_application(settings, encoder_model(model, settings, Store(settings.home), weights))


def _bind(settings: Settings) -> socket.socket:
    family = _family(settings.host)
    # The protocol is named so that asyncio switches Nagle's algorithm off: an answer in two pieces would wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there the option would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
    return listener


def _family(host: str) -> socket.AddressFamily:
    """Of an address, or of a name's: IPv4 where it has both.

    Raises:
        CommandError: The name stands for no address.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"--host {host} is no address of this machine: {reason}") from None
    families = [family for family, *_ in found]
    return socket.AF_INET if socket.AF_INET in families else families[0]


def _run(application: "Application", settings: Settings, listener: socket.socket, url: str) -> int:
    config = uvicorn.Config(
        application,
        http=HttpProtocol.with_limits(
            receive_timeout_s=settings.receive_timeout_s,
            write_timeout_s=settings.write_timeout_s,
            on_refusal=application.metrics.on_refusal,
        ),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=math.ceil(settings.idle_timeout_s),
        lifespan="on",
        timeout_graceful_shutdown=_FORCE_AFTER_S,
        backlog=2048,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
    )
    _load_certificate(config, settings)
    server = Server(config, application, url)
    try:
        server.run(sockets=[listener])
    except SystemExit:  # uvicorn's way to say that the start failed; the application knows why
        if application.start_error is not None:
            raise CommandError(str(application.start_error)) from None
        raise
    return 0


def _load_certificate(config: uvicorn.Config, settings: Settings) -> None:
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise CommandError(f"the certificate cannot be used: {settings.tls_cert}: {reason}") from None


class Server(uvicorn.Server):
    """uvicorn, with obeaver's manners at start and end.

    A first SIGINT or SIGTERM lets running answers end within the limit, while newcomers are told to go elsewhere; a
    second one ends those answers at once. Either way the exit status is 0: being told to stop is not a failure.
    """

    def __init__(self, config: uvicorn.Config, application: "Application", url: str) -> None:
        super().__init__(config)
        self._application = application
        self._url = url
        self._hurry = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the model (the application's lifespan), then accept."""
        await super().startup(sockets)
        logger.info("serving on %s (docs: %s/docs; Ctrl-C stops)", self._url, self._url)
        if self._application.settings.open:
            open_browser(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain: refuse new requests, let running ones end, then abort them with an error event.

        The port stays open meanwhile: a newcomer gets a 503 that says when to come back, and no connection refused.
        """
        logger.info("stopping: running answers may go on for %g s", self._application.settings.shutdown_timeout_s)
        ending = asyncio.create_task(self._end(sockets))
        hurried = asyncio.create_task(self._hurry.wait())
        limit_s = self._application.settings.shutdown_timeout_s + _FORCE_AFTER_S + _CLOSING_S
        await asyncio.wait({ending, hurried}, return_when=asyncio.FIRST_COMPLETED, timeout=limit_s)
        if not ending.done():
            if not self._hurry.is_set():
                logger.warning("the engine does not end its step: nobody waits for it any longer")
            await asyncio.wait({ending}, timeout=_LAST_WORDS_S)
            # An ordinary end would wait for the engine's thread, which may be in the middle of a long step.
            logging.shutdown()
            os._exit(0)
        hurried.cancel()
        await ending

    async def _end(self, sockets: list[socket.socket] | None) -> None:
        await self._application.drain()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the two signals while serving, without raising them again afterwards as uvicorn does."""
        loop = asyncio.get_running_loop()

        def hurry() -> None:
            self._hurry.set()
            self._application.stop_draining()

        def handle(_signum: int, _frame: FrameType | None) -> None:
            if self.should_exit:
                loop.call_soon_threadsafe(hurry)
            self.should_exit = True

        before = {signum: signal.signal(signum, handle) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
