"""Reports of the runtimes to their maker."""

from typing import Final

TELEMETRY_OFF: Final = {"ORT_DISABLE_TELEMETRY": "1"}
"""Environment that both runtimes read when they are first imported; without it they report to their maker."""
