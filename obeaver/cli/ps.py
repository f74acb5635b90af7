"""`obeaver ps`: the servers that run over the store, and how each stands."""

import argparse
import http.client
import json
import os
import ssl
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from obeaver.cli.models.listing import size_text
from obeaver.cli.table import Column, screen_width, table_lines
from obeaver.config import load_settings

if TYPE_CHECKING:
    from obeaver.app.running_servers import RunningServer

PATIENCE_S: Final = 3.0
"""A server that works answers within milliseconds."""

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Addresses that only listen, and what can be asked in their place."""

_COLUMNS: Final = (
    Column("PID", right=True),
    Column("COMMAND", rank=2),
    Column("URL"),
    Column("MODELS", rank=1, can_cut=True),
    Column("STATUS"),
    Column("MEMORY", right=True, rank=1),
    Column("RUNNING", right=True, rank=2),
    Column("WAITING", right=True, rank=2),
    Column("UP", right=True, rank=3),
)


def run_ps(arguments: argparse.Namespace) -> int:
    """List them.

    Raises:
        CommandError: Wrong settings.
    """
    from obeaver.app.running_servers import RunningServers

    home = load_settings(vars(arguments), os.environ).home
    servers = [_told(server) for server in RunningServers(home).all()]
    if arguments.json:
        print(json.dumps(servers, indent=2))
    elif servers:
        print(*table_lines(_COLUMNS, [_row(server) for server in servers], screen_width()), sep="\n")
    else:
        print(f"no server runs over {home}")
    return 0


def _told(server: "RunningServer") -> dict[str, Any]:
    health = _health(server.url) if server.is_here else None
    models = [model["id"] for model in health["models"]] if health and "models" in health else list(server.models)
    return {
        "pid": server.pid,
        "host": server.host,
        "command": server.command,
        "url": server.url,
        "models": models,
        "status": health["status"] if health else ("silent" if server.is_here else "elsewhere"),
        "memory_bytes": server.memory_bytes(),
        "num_running": _requests(health, "num_running"),
        "num_waiting": _requests(health, "num_waiting"),
        "started_at": round(server.started_at, 3),
    }


def _requests(health: dict[str, Any] | None, key: str) -> int | None:
    """Of all models; an encoder's open requests count as running."""
    if health is None:
        return None
    if "models" in health:
        return sum(int(model.get(key, 0)) for model in health["models"])
    return int(health.get("num_requests", 0)) if key == "num_running" else 0


def _health(url: str) -> dict[str, Any] | None:
    """What the server says of itself; None where it does not answer, as one that still loads its model."""
    address = urlsplit(url)
    host = _EVERYWHERE.get(address.hostname or "", address.hostname or "")
    if address.scheme == "https":
        # Nothing is sent that its certificate would have to protect, and the name on it is not this address.
        unverified = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, address.port, timeout=PATIENCE_S, context=unverified
        )
    else:
        connection = http.client.HTTPConnection(host, address.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/health")
        told: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return told if "status" in told else None


def _row(server: dict[str, Any]) -> Sequence[str]:
    memory = server["memory_bytes"]
    return (
        str(server["pid"]),
        server["command"],
        server["url"],
        ", ".join(server["models"]),
        server["status"],
        "" if memory is None else size_text(memory),
        _number(server["num_running"]),
        _number(server["num_waiting"]),
        _age(time.time() - server["started_at"]),
    )


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


def _age(seconds: float) -> str:
    """`5s`, `12m`, `3h`, `9d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(0, seconds):.0f}s"
