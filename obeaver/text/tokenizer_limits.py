"""What a tokenizer.json may ask for: a stranger's file takes neither all memory nor all time.

Reading is bounded by the file's size. Beyond that a vocabulary may name ids as it likes, and a normalizer may make a
long text of a short one, again and again. The limits are far above what real tokenizers need: vocabularies of 262,144
ids are the largest in use, their files have 35 MB, and normalizers put a few characters in place of one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from obeaver.errors import ModelError

MAX_FILE_BYTES: Final = 256 << 20
MAX_IDS: Final = 1 << 22
MAX_GROWTH: Final = 64
MAX_PREFIX_CHARS: Final = 1024


def check_size(path: Path) -> None:
    """Refuse a file that is too large to be a tokenizer; one that is not there is another's matter.

    Raises:
        ModelError: It is.
    """
    size_bytes = path.stat().st_size if path.is_file() else 0
    if size_bytes > MAX_FILE_BYTES:
        raise _unusable(path, f"it has {size_bytes >> 20} MiB, and no tokenizer has more than {MAX_FILE_BYTES >> 20}")


def check_ids(path: Path, num_ids: int) -> None:
    """Refuse ids for which tables would take all memory.

    Raises:
        ModelError: The largest is too large.
    """
    if num_ids > MAX_IDS:
        raise _unusable(path, f"it has the token id {num_ids - 1}, and no vocabulary reaches {MAX_IDS}")


def check_growth(path: Path, definition: Mapping[str, Any]) -> None:
    """Refuse steps that make texts many times longer.

    Raises:
        ModelError: They do.
    """
    for part in ("normalizer", "decoder"):
        growth, num_prefixed = 1.0, 0
        for step in _steps(definition.get(part), f"{part}s"):
            growth *= _growth(step)
            num_prefixed += len(str(step.get("prepend", "")))
        if growth > MAX_GROWTH or num_prefixed > MAX_PREFIX_CHARS:
            raise _unusable(path, f"its {part} makes texts more than {MAX_GROWTH} times as long")


def _steps(value: object, key: str) -> Iterator[Mapping[str, Any]]:
    """The steps of a normalizer or a decoder, with sequences laid out flat."""
    if not isinstance(value, dict):
        return
    if value.get("type") != "Sequence":
        yield value
        return
    steps = value.get(key)
    for step in steps if isinstance(steps, list) else ():
        yield from _steps(step, key)


def _growth(step: Mapping[str, Any]) -> float:
    """How many times as long a text may become, at most."""
    if step.get("type") != "Replace":
        return 1
    pattern, num_put = step.get("pattern"), len(str(step.get("content", "")))
    replaced = pattern.get("String") if isinstance(pattern, dict) else None
    # An expression may match between any two characters.
    return max(1, num_put / len(replaced)) if isinstance(replaced, str) and replaced else 1 + num_put


def _unusable(path: Path, reason: str) -> ModelError:
    return ModelError(f"{path} is not a usable tokenizer: {reason}")
