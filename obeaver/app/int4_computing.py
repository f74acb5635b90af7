"""Whether an import in int4 is computed in int8, and the graph for that."""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from obeaver.app.memory import available_bytes, machine_bytes
from obeaver.config import Settings
from obeaver.engine.sessions.providers import ProviderChoice
from obeaver.models.facts import ModelFacts
from obeaver.models.format_choice import INT4, INT4_BYTES, is_short, loaded_in_int8
from obeaver.processor import byte_products_overflow

logger = logging.getLogger("obeaver")

_PREFIX: Final = "obeaver-int8-"
_ABANDONED_S: Final = 24 * 60 * 60


@contextmanager
def graph_to_compute(
    graph: Path, facts: ModelFacts, settings: Settings, provider: ProviderChoice, reasons: list[str]
) -> Iterator[Path]:
    """The graph to load: a model's own, or one of int8 that is removed at the end, when the runtime has its weights.

    Args:
        graph: The model's own.
        facts: Of the model.
        settings: Say whether it may be another.
        provider: What computes.
        reasons: Gets what speaks for the other one.
    """
    if not _in_int8(facts, settings, provider):
        yield graph
        return
    folder = _new_folder()
    try:
        made = None if folder is None else _made(graph, folder, facts.name)
        if made is not None:
            reasons.append("its int4 weights are computed as int8, for which there is memory")
        yield made or graph
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _in_int8(facts: ModelFacts, settings: Settings, provider: ProviderChoice) -> bool:
    if facts.weights != INT4 or not provider.is_cpu or settings.int4_compute == INT4:
        return False
    num_weights = int(facts.size_bytes / INT4_BYTES)
    there_is_room = not is_short(num_weights, machine_bytes()) and loaded_in_int8(num_weights) < available_bytes()
    # Where sums of products of bytes overflow, the exact way to compute them is slower than blocks of 4 bits are.
    return settings.int4_compute != "auto" or (there_is_room and not byte_products_overflow())


def _new_folder() -> Path | None:
    """A folder for temporary files; what a process that was killed left there is removed."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    except OSError as error:
        logger.warning("int4 weights are computed as they are: no temporary file can be written (%s)", error.strerror)
        return None
    for other in folder.parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # whose load has just ended removes his own
            if other.stat().st_mtime < time.time() - _ABANDONED_S:
                shutil.rmtree(other, ignore_errors=True)
    return folder


def _made(graph: Path, folder: Path, name: str) -> Path | None:
    from obeaver.models.gguf.as_int8 import write_as_int8

    started = time.perf_counter()
    try:
        made = write_as_int8(graph, folder)
    except OSError as error:
        logger.warning(
            "the int4 weights of %s are computed as they are: %s cannot hold them as int8 (%s); TMPDIR names another "
            "folder",
            name,
            folder.parent,
            error.strerror or error,
        )
        return None
    except Exception as error:  # noqa: BLE001  # nothing bounds what a broken graph can lead to
        # The runner, which opens it as it is, says more of it.
        logger.warning("the int4 weights of %s are computed as they are: %s", name, error)
        return None
    if made is not None:
        took = time.perf_counter() - started
        logger.info("the int4 weights of %s are computed as int8, made in %.1f s (--int4-compute)", name, took)
    return made
