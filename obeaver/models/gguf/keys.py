"""Typed look-ups in the metadata of one GGUF file, with the family's prefix.

Key names: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import math
from collections.abc import Mapping
from typing import Final

from obeaver.errors import ModelError
from obeaver.models.gguf.reader import TensorFile

# Far above any model's.
_MOST: Final = 1 << 31


class Keys:
    """What a file says of its model, by key without the prefix; every refusal names file and key.

    Attributes:
        family: The value of `general.architecture`, which is the prefix of the keys.
    """

    def __init__(self, file: TensorFile) -> None:
        self._file = file
        self._pairs: Mapping[str, object] = file.metadata
        name = self._pairs.get("general.architecture")
        if not isinstance(name, str):
            raise self.refusal(f"its general.architecture is {_described(name)}, not a text")
        self.family = name

    def refusal(self, why: str) -> ModelError:
        """An error that names the file."""
        return ModelError(f"{self._file.path}: {why}")

    def has(self, key: str) -> bool:
        """Whether the file has the key."""
        return f"{self.family}.{key}" in self._pairs

    def beginning(self, start: str) -> list[str]:
        """The keys of the family that begin so."""
        prefix = f"{self.family}."
        return [key.removeprefix(prefix) for key in self._pairs if key.startswith(prefix + start)]

    def text(self, key: str, default: str) -> str:
        """A text."""
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def count(self, key: str, *, default: int | None = None, most: int = _MOST) -> int:
        """A whole number, or the one that a list repeats for every layer; 0 only where that is the default.

        Raises:
            ModelError: It is missing and has no default, is of another type or out of range, or differs by layer.
        """
        value = self._value(key, default)
        if isinstance(value, list) and value and all(one == value[0] for one in value):
            value = value[0]
        if isinstance(value, list):
            raise self.refusal(f"a model whose {self.family}.{key} differs from layer to layer is not supported")
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, value, "a whole number")
        if not (1 if default != 0 else 0) <= value <= most:
            raise self.refusal(f"its {self.family}.{key} is {value}, out of range")
        return value

    def number(self, key: str, *, default: float | None = None) -> float:
        """A number above 0.

        Raises:
            ModelError: It is missing and has no default, is of another type or out of range.
        """
        return self._finite(key, default, least=math.ulp(0.0))

    def factor(self, key: str, *, default: float = 1.0) -> float:
        """A factor, of which 0 means that there is none: 1, as llama.cpp takes it."""
        return self._finite(key, default, least=0.0) or 1.0

    def optional(self, key: str) -> float:
        """A number above 0, or 0 where the file has none."""
        return self._finite(key, 0.0, least=0.0)

    def whole_numbers(self, key: str) -> list[int]:
        """A list of whole numbers or flags; empty where the file has none, or has no list there."""
        value = self._pairs.get(f"{self.family}.{key}")
        return [int(one) for one in value if isinstance(one, int)] if isinstance(value, list) else []

    def _finite(self, key: str, default: float | None, *, least: float) -> float:
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value, "a number")
        if not least <= value < math.inf:
            raise self.refusal(f"its {self.family}.{key} is {value}, out of range")
        return float(value)

    def _value(self, key: str, default: object) -> object:
        return self._pairs.get(f"{self.family}.{key}", default)

    def _wrong(self, key: str, value: object, wanted: str) -> ModelError:
        return self.refusal(f"its {self.family}.{key} is {_described(value)}, not {wanted}")


def _described(value: object) -> str:
    return "missing" if value is None else f"of the type {type(value).__name__}"
