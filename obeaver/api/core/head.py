"""What the beginning of an answer tells, in any dialect."""

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Head:
    """Which answer this is, and who gives it.

    Attributes:
        id: Unique; its prefix tells the kind of answer.
        created: Whole seconds since 1970.
        model: The model that answers, whatever the request named.
        system_fingerprint: Changes when the same seed may give another text.
    """

    id: str
    created: int
    model: str
    system_fingerprint: str


def system_fingerprint(*identity: object) -> str:
    """A short name of everything that the text depends on beside the request: the model's files and the build."""
    text = json.dumps([str(part) for part in identity])
    return f"fp_{hashlib.sha256(text.encode()).hexdigest()[:10]}"
