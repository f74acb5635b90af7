"""Models that are cut into several GGUF files: `model-00001-of-00003.gguf` and so on, in one folder.

llama-gguf-split writes them so: the first has the metadata, and each has tensors of its own.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from obeaver.errors import ModelError
from obeaver.models.record import sha256_of, tree_sha256

_PART: Final = re.compile(r"(.*-)(\d{5})(-of-)(\d{5})(\.gguf)", re.IGNORECASE | re.DOTALL)


def part_names(name: str) -> list[str]:
    """The names, or paths, of all parts of the model that one belongs to, in order; of a whole file its own."""
    found = _part(name)
    if found is None:
        return [name]
    return [f"{found[1]}{number:05d}{found[3]}{found[4]}{found[5]}" for number in range(1, int(found[4]) + 1)]


def _part(name: str) -> re.Match[str] | None:
    found = _PART.fullmatch(name)
    return found if found is not None and 1 <= int(found[2]) <= int(found[4]) else None


def model_stem(name: str) -> str:
    """A file's name without its number and ending: `model` of `model-00001-of-00003.gguf` and of `model.gguf`."""
    found = _part(name)
    return Path(name).stem if found is None else found[1][:-1]


def parts_of(path: Path) -> list[Path]:
    """All files of the model that a file belongs to, in order; of a whole file itself.

    Raises:
        ModelError: One is missing; names it.
    """
    parts = [path.with_name(name) for name in part_names(path.name)]
    missing = [part.name for part in parts if part != path and not part.is_file()]
    if missing:
        others = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
        raise ModelError(
            f"{path} is one of the {len(parts)} parts of a model, and {missing[0]}{others} not beside it: "
            "put all parts into one folder"
        )
    return parts


def gguf_sha256(path: Path, hash_of: Callable[[Path], str] = sha256_of) -> str:
    """What stands for a model's content: a file's hash, or `tree_sha256` of several parts.

    Args:
        path: The file, or any of its parts.
        hash_of: Gives the hash of one file.
    """
    parts = parts_of(path)
    return hash_of(parts[0]) if len(parts) == 1 else tree_sha256({part.name: hash_of(part) for part in parts})
