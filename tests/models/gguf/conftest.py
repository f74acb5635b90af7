"""Imports of tiny models, and the default model's own file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from reference.tiny_gguf import TinyGguf

from obeaver.models.gguf import import_gguf
from obeaver.models.progress import SilentProgress

ImportTiny = Callable[..., Path]


@pytest.fixture
def import_tiny(tmp_path: Path) -> ImportTiny:
    """Writes a tiny GGUF beside a folder and imports it; returns the folder. The file is `source.gguf` beside it."""

    def run(tiny: TinyGguf, *, weights: str = "fp32", kv: str = "float32", measure: bool = False) -> Path:
        source = tiny.write(tmp_path / "source.gguf")
        folder = tmp_path / f"{weights}-{kv}"
        folder.mkdir()
        import_gguf(source, folder, weights=weights, kv=kv, name="tiny", progress=SilentProgress(), measure=measure)
        return folder

    return run


@pytest.fixture
def token_ids() -> list[int]:
    return [int(n) for n in np.random.default_rng(7).integers(0, 261, 100)]
