"""Showing a page to the person at this machine."""

import logging
import threading
import webbrowser
from urllib.parse import urlsplit

logger = logging.getLogger("obeaver")

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - what a server listens on, no browser goes to
"""Where a server that listens on all addresses is found from its own machine."""


def open_browser(url: str) -> None:
    """Open a page in the user's browser, without waiting for it.

    Args:
        url: Of a server on this machine; one that listens on every address is opened by its loopback one.
    """
    threading.Thread(target=_open, args=(reachable(url),), name="browser", daemon=True).start()


def reachable(url: str) -> str:
    """The address at which this machine reaches its own server."""
    host, _, port = urlsplit(url).netloc.rpartition(":")
    return f"http://{_ANY_ADDRESS.get(host, host)}:{port}/"


def _open(url: str) -> None:
    try:
        opened = webbrowser.open(url)
    except (OSError, webbrowser.Error):
        opened = False
    if not opened:
        logger.warning("no browser could be opened: go to %s", url)
