"""What somebody wants to have in the store, and what that means for formats and names."""

from dataclasses import dataclass
from typing import Final

from obeaver.errors import ModelError
from obeaver.models.importers import GGUF_FORMATS, USUAL
from obeaver.models.origin import FOLDER, GGUF, Form
from obeaver.models.sources.source import Source

Formats = tuple[str, str]
"""Of the weights and of the KV cache."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person asks of an import; None leaves it open.

    Attributes:
        weights: Format of the weights.
        kv: Format of the KV cache.
        context: Tokens that the model is to be able to use.
        measure: Whether to find out how near the result is to its source.
    """

    weights: str | None = None
    kv: str | None = None
    context: int | None = None
    measure: bool = False


_NO_CHOICES: Final = Choices()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be in the store.

    Attributes:
        label: What a person calls it.
        sources: Where it can be had, best first.
        name: Its name there; whatever has that name now is replaced. None: a name made from what is fetched.
        choices: What was asked for of an import.
        usual: Formats where none was asked for; None: those that are usual for what is fetched.
        why: Why a format was chosen that is not the usual one, to be said when it is made; None where there is none.
    """

    label: str
    sources: tuple[Source, ...]
    name: str | None = None
    choices: Choices = _NO_CHOICES
    usual: Formats | None = None
    why: str | None = None

    def formats(self, form: Form) -> Formats | None:
        """What an import has to make; None where there is none.

        Raises:
            ModelError: There is no such format, or nothing to import.
        """
        if form == FOLDER:
            if self.choices.weights or self.choices.kv:
                raise ModelError(f"{self.label} is served as it is: its formats cannot be chosen")
            return None
        weights, kv = self.usual or USUAL[form]
        weights = self.choices.weights or weights
        if form == GGUF and weights not in GGUF_FORMATS:
            raise ModelError(f"weights can be {', '.join(GGUF_FORMATS)}, not {weights!r}")
        return weights, self.choices.kv or kv


def name_of_format(base: str, formats: Formats | None, usual: Formats) -> str:
    """Models of one source in other formats than the usual ones stand beside it: `name-int4`, `name-int8-kv-int8`."""
    if formats is None or formats == usual:
        return base
    weights, kv = formats
    return f"{base}-{weights}" if kv == usual[1] else f"{base}-{weights}-kv-{kv}"
