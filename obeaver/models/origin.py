"""Where a stored model came from, as its record says it."""

from dataclasses import dataclass
from typing import Final, Literal

Form = Literal["gguf", "encoder", "folder"]
GGUF: Final = "gguf"
"""A GGUF file, to be imported."""

ENCODER: Final = "encoder"
"""A folder with an encoder's safetensors, to be imported."""

FOLDER: Final = "folder"
"""A folder that is served as it is."""

PACKAGE_INDEX: Final = "package-index"
HUB: Final = "hub"
URL: Final = "url"
LOCAL: Final = "local"


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of one stored model.

    Attributes:
        kind: `package-index`, `hub`, `url` or `local`.
        asked: What was asked for: `hf:org/repo`, a URL, a path, `package==version`.
        address: What that was at that time, exactly: `hf:org/repo@COMMIT:model.gguf`.
        revision: The commit, or the version of the package; None where there is no such thing.
        licence: SPDX identifier or the name of the terms, where the source says it.
    """

    kind: str
    asked: str
    address: str
    revision: str | None = None
    licence: str | None = None
