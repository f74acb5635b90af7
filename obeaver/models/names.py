"""Names of stored models: what is allowed, and how one is made from a file's name.

A name becomes the name of a folder on any operating system, and part of a URL. So it is lower case (two names never
differ in case alone, which some file systems cannot tell apart), and it can never lead out of the store.
"""

import difflib
import re
from collections.abc import Collection
from typing import Final

from obeaver.errors import StoreError

MAX_LENGTH: Final = 100
_MAX_SLUG: Final = 60  # leaves room for a hash and for the formats of an import
_ALLOWED: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_NOT_ALLOWED: Final = re.compile(r"[^a-z0-9._-]+")
# Device names, with any extension: "Naming Files, Paths, and Namespaces" in the Windows documentation.
_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))}
)


def checked_name(text: str) -> str:
    """The name in the store that a person means by `text`: the same in lower case.

    Raises:
        StoreError: No model can have this name; says what is allowed.
    """
    name = text.lower()
    if not is_name(name):
        raise StoreError(
            f"{text!r} cannot be a model's name: letters a-z, digits, '.', '_' and '-', at most {MAX_LENGTH}, "
            "beginning and ending with a letter or a digit, and no reserved name"
        )
    return name


def is_name(text: str) -> bool:
    """Whether a model can have this name."""
    return (
        len(text) <= MAX_LENGTH
        and _ALLOWED.fullmatch(text) is not None
        and ".." not in text
        and text.split(".")[0] not in _DEVICES
    )


def name_from(stem: str, suffix: str) -> str:
    """A name made from a file's stem: `My Model (v2)` and `1f2e` give `my-model-v2-1f2e`."""
    plain = _plain(stem)
    return f"{plain}-{suffix}" if is_name(f"{plain}-{suffix}") else f"model-{plain}-{suffix}"


def close_names(asked: str, names: Collection[str]) -> list[str]:
    """Those that a person may have meant, the nearest first."""
    return difflib.get_close_matches(asked.lower(), sorted(names), n=3)


def unknown_model(asked: str, names: Collection[str]) -> str:
    """What to say when nothing is called so.

    Args:
        asked: What somebody typed.
        names: Of the store and the catalogue.
    """
    if "://" in asked:
        return f"{asked} is no address of a model: those begin with https://, http:// or hf:"
    if {"/", "\\"} & set(asked) or asked.lower().endswith(".gguf"):
        return f"there is no file or folder {asked}"
    close = close_names(asked, names)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"there is no model named {asked!r}: {hint}obeaver models lists all; or give a path"


def slug(stem: str) -> str:
    """A name made from a file's stem alone: `My Model (v2)` gives `my-model-v2`."""
    plain = _plain(stem)
    return plain if is_name(plain) else f"model-{plain}"


def _plain(stem: str) -> str:
    plain = re.sub(r"\.{2,}", ".", _NOT_ALLOWED.sub("-", stem.lower())).strip("._-")
    return plain[:_MAX_SLUG].strip("._-") or "model"
