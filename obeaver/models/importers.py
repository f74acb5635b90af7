"""The importers, and the versions of what they make.

A stored model's record names the importer and its version. A model that an older version made is made anew from its
source when it is next asked for; where the source cannot be had, the older one goes on serving.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from obeaver.models.encoder.architecture import DECODERS
from obeaver.models.encoder.layout import model_type
from obeaver.models.origin import ENCODER, GGUF
from obeaver.models.progress import Progress
from obeaver.models.record import Recipe

# Raise one when its importer makes another folder of the same source than before.
VERSIONS: Final[Mapping[str, int]] = {GGUF: 8, ENCODER: 1}

EXACT: Final = ("fp32", "float32")
"""Formats that lose nothing. Models that make vectors have them, since vectors meet those of other programs."""

USUAL: Final[Mapping[str, tuple[str, str]]] = {GGUF: ("int8", "int8"), ENCODER: EXACT}
"""Formats of weights and KV cache where nothing else is asked for. Encoders keep no keys and values."""

# Bytes of the result for each byte of the source, at most. A GGUF file has at least 4.5 bits a weight (Q4_0 and its
# kin), but for the few of 1.6 to 3.5; safetensors have at least 16.
_GGUF_GROWTH: Final = {"int4": 1.5, "int8": 4.0, "fp32": 8.0}
_ENCODER_GROWTH: Final = 2.1


class Importer(Protocol):
    """Makes a model folder of a GGUF file or of a folder with safetensors; `import_source` is the one."""

    def __call__(
        self, source: Path, target: Path, *, recipe: Recipe, name: str, measure: bool, progress: Progress
    ) -> Mapping[str, str]:
        """Write a complete model folder into the empty folder `target`.

        Args:
            source: The file or folder.
            target: Where to.
            recipe: What is to be made of it.
            name: The model's name, for the folder's record.
            measure: Whether to find out how near the result is to the source.
            progress: Told how far it is.

        Returns:
            The SHA-256 of files that were hashed while they were written, by their paths in `target`.
        """
        ...


def import_source(
    source: Path, target: Path, *, recipe: Recipe, name: str, measure: bool, progress: Progress
) -> Mapping[str, str]:
    """The importer for this kind of source, loaded when there is something to import."""
    source = _first_part(source)
    if source.is_dir() and model_type(source) not in DECODERS:
        from obeaver.models.encoder.importer import import_encoder

        import_encoder(source, target, weights=recipe.weights, name=name, progress=progress)
    elif source.is_dir() or is_embedder(source):
        from obeaver.models.embedder.importer import import_embedder

        import_embedder(source, target, weights=recipe.weights, name=name, progress=progress)
    else:
        from obeaver.models.gguf import import_gguf

        return import_gguf(
            source,
            target,
            weights=recipe.weights,
            kv=recipe.kv,
            context=recipe.context,
            name=name,
            measure=measure,
            sha256=recipe.source_sha256,
            progress=progress,
        )
    return {}


def _first_part(source: Path) -> Path:
    """Of a folder with the parts of a GGUF model, the first; anything else stays what it is."""
    return min(source.glob("*.gguf"), default=source) if source.is_dir() else source


def is_embedder(source: Path) -> bool:
    """Whether a GGUF file, or the parts of one in a folder, holds an embedding model or a reranker."""
    from obeaver.models.embedder.kind import is_embedder_file  # here: it loads what reads GGUF files

    return is_embedder_file(_first_part(source))


def import_bytes(form: str, source_bytes: int, weights: str) -> int:
    """What an import takes at most on disk."""
    return int(source_bytes * (_ENCODER_GROWTH if form == ENCODER else _GGUF_GROWTH[weights]))


def is_gguf_format(weights: str) -> bool:
    """Whether a GGUF file can be imported with weights in this format."""
    return weights in _GGUF_GROWTH


GGUF_FORMATS: Final = tuple(_GGUF_GROWTH)


def maker(form: str) -> str:
    """What a record calls the importer of today: `gguf/1`."""
    return f"{form}/{VERSIONS[form]}"
