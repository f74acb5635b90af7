"""Names of models as Ollama writes them: every one has a tag."""

from typing import Final

LATEST: Final = ":latest"
"""The tag that a name without one has."""


def plain_name(name: str) -> str:
    """The name as the store knows it."""
    return name.removesuffix(LATEST)


def tagged_name(name: str) -> str:
    """The name as Ollama's clients expect it."""
    return name if ":" in name else name + LATEST
