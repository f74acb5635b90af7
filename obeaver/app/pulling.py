"""How a server pulls for its clients: the command `obeaver pull`, beside it and below it in priority."""

import shutil
import sys
from collections.abc import Sequence

from obeaver.api.models.pulls import PullCommand, PullOrder
from obeaver.config import Settings


def pull_command(settings: Settings) -> PullCommand | None:
    """Makes command lines for the server's own store; None where clients may not pull."""
    if not settings.allow_pull or settings.offline:
        return None

    def command(order: PullOrder) -> Sequence[str]:
        options = {"--name": order.name, "--weights": order.weights, "--kv": order.kv, "--home": str(settings.home)}
        given = [f"{flag}={value}" for flag, value in options.items() if value is not None]
        return [*_politely(), sys.executable, "-m", "obeaver", "pull", "--json", *given, "--", order.asked]

    return command


def _politely() -> list[str]:
    """What lets running answers go first, where the system has it."""
    nice = shutil.which("nice")
    return [] if nice is None else [nice, "-n", "10"]
