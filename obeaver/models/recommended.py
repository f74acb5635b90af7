"""Which model of the catalogue to use in place of the default one, which is there to be small."""

from collections.abc import Mapping
from typing import Final

from obeaver.models.catalog import CatalogEntry

# One family in several sizes, the best first. Larger ones write more slowly than one reads on a processor alone.
_SIZES: Final = ("qwen3-4b", "qwen3-1.7b", "qwen3-0.6b")


def recommended(catalog: Mapping[str, CatalogEntry], free_bytes: int) -> CatalogEntry | None:
    """The best of them that fits into so much memory; None where none does."""
    entries = (catalog[name] for name in _SIZES if name in catalog)
    return next((entry for entry in entries if entry.memory_bytes <= free_bytes), None)
