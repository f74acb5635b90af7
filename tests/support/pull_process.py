"""`python -m support.pull_process HOME CATALOG PAUSE_S [MODEL [NAME]]`: gets a model in a process that a test can kill.

The model is `tiny` of the catalogue unless another is asked for.

The importer is a stand-in: it copies the source in two halves with a pause between them.
"""

import logging
import sys
import time
from pathlib import Path

from obeaver.models.catalog import load_catalog
from obeaver.models.progress import Progress, TerminalProgress
from obeaver.models.pull import ensure_model
from obeaver.models.record import Recipe
from obeaver.models.store import Store


class PausingImporter:
    """Copies the source to `model.onnx`.

    Args:
        pause_s: How long it waits in the middle.
    """

    def __init__(self, pause_s: float = 0.0) -> None:
        self._pause_s = pause_s

    def __call__(
        self, source: Path, target: Path, *, recipe: Recipe, name: str, measure: bool, progress: Progress
    ) -> dict[str, str]:
        data = source.read_bytes()
        with (target / "model.onnx").open("wb") as file, progress.stage("import", len(data)) as stage:
            for half in (data[: len(data) // 2], data[len(data) // 2 :]):
                file.write(half)
                file.flush()
                stage.advance(len(half))
                time.sleep(self._pause_s)
        (target / "genai_config.json").write_text("{}", encoding="utf-8")
        (target / "made.txt").write_text(f"{name} {recipe.weights} {recipe.kv}", encoding="utf-8")
        return {}


def main(home: str, catalog: str, pause_s: str, model: str = "tiny", name: str | None = None) -> None:
    """Get the model and print its folder."""
    logging.basicConfig(level="INFO")
    stored = ensure_model(
        model,
        Store(Path(home)),
        progress=TerminalProgress(),
        name=name,
        catalog=load_catalog(Path(catalog)) if catalog else {},
        importer=PausingImporter(float(pause_s)),
    )
    print(stored.folder)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
