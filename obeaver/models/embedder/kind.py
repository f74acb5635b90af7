"""What a GGUF file is for: its header says whether its model writes text, makes vectors or scores pairs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from obeaver.errors import ModelError
from obeaver.models.encoder.known import KnownModel, known_model
from obeaver.models.encoder.layout import EMBEDDING, RERANKER
from obeaver.models.gguf.families import ARCHITECTURES, FAMILIES
from obeaver.models.gguf.reader import GgufFile, TensorFile

CHAT: Final = "chat"
# llama.cpp's numbers; `include/llama.h`, `llama_pooling_type`.
_POOLING: Final[Mapping[object, str]] = {1: "mean_tokens", 2: "cls_token", 3: "lasttoken"}
_RANK: Final = 4
_SCORES: Final = "cls.output.weight"


def known_file(file: TensorFile) -> KnownModel | None:
    """What is known of the model by the names that the file gives it, and by the file's own."""
    names = [file.metadata.get(f"general.{key}") for key in ("name", "basename", "finetune")]
    return known_model(*names, file.path.stem)


def kind_of(file: TensorFile) -> str:
    """`chat`, `embedding` or `reranker`."""
    family = str(file.metadata.get("general.architecture"))
    pooling = file.metadata.get(f"{family}.pooling_type")
    known = known_file(file)
    if pooling == _RANK or _SCORES in file.tensors or (known is not None and known.pair is not None):
        return RERANKER
    row = FAMILIES.get(family)
    is_embedder = pooling in _POOLING or known is not None or (row is not None and row.embeds)
    return EMBEDDING if is_embedder else CHAT


def pooling_of(file: TensorFile) -> str:
    """How one vector is made of a text's tokens, named as in `1_Pooling/config.json`."""
    family = str(file.metadata.get("general.architecture"))
    said = _POOLING.get(file.metadata.get(f"{family}.pooling_type"))
    known = known_file(file)
    if said is not None or known is not None:
        return said or (known.pooling if known is not None else "")
    row = FAMILIES.get(family)
    if row is None or row.causal:
        return "lasttoken"
    return "cls_token" if kind_of(file) == RERANKER else "mean_tokens"


def kind_of_gguf(path: Path) -> str | None:
    """The same of a file by its path; None for one that cannot be imported, since its import says why."""
    try:
        file = GgufFile(path)
    except ModelError:
        return None
    return kind_of(file) if file.metadata.get("general.architecture") in ARCHITECTURES else None


def is_embedder_file(path: Path) -> bool:
    """Whether a GGUF file holds an embedding model or a reranker."""
    return kind_of_gguf(path) not in (CHAT, None)
