"""int8 or int4: how the weights of an import are stored where nobody said it.

int8 unless memory is short: on two cores a model of 1.7 billion weights decoded 14.2 tokens a second in int8 and 13.2
in int4, read prompts at 176 and 64, and is nearer to its file. What counts is the memory that the machine has, not what
is free at the moment, so that the choice is the same tomorrow.
"""

from collections.abc import Mapping
from typing import Final

import psutil

from obeaver.cgroup import memory_limit_bytes

INT8: Final = "int8"
INT4: Final = "int4"
INT4_BYTES: Final = 0.7
"""About so many bytes a weight takes in an import in int4, embedding and head included."""
_INT4_LOADED: Final = 0.76
"""What a weight in int4 takes when it is served, in bytes; 600 MB come on top, as everywhere in the catalogue."""
_BASE_BYTES: Final = 600_000_000
_ROUNDED_TO: Final = 100_000_000
# A loaded model takes up to 1.3 times its files; a quarter of the memory is for keys and values and for all else.
_LOADED: Final = 1.3
_SHARE: Final = 0.75
# Bits of a weight in files, scales included, by the beginning of a quantisation's name.
_BITS: Final[Mapping[str, float]] = {
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "Q8": 8.5,
    "Q6": 6.6,
    "Q5": 5.6,
    "Q4": 4.8,
    "IQ4": 4.4,
    "MXFP4": 4.4,
    "Q3": 3.7,
    "IQ3": 3.4,
    "Q2": 3.0,
    "IQ2": 2.5,
    "TQ": 2.0,
    "IQ1": 1.8,
}
_USUAL_BITS: Final = 4.8


def memory_bytes() -> int:
    """What this machine has, or what its container is granted."""
    total = int(psutil.virtual_memory().total)
    limit = memory_limit_bytes()
    return total if limit is None else min(total, limit)


def is_short(num_weights: int, memory: int) -> bool:
    """Whether so many weights in int8 leave too little of the memory."""
    return loaded_in_int8(num_weights) > _SHARE * memory


def loaded_in_int8(num_weights: int) -> int:
    """Bytes that so many weights take in int8, loaded."""
    return int(num_weights * _LOADED)


def num_weights_of(size_bytes: int, quantisation: str | None) -> int:
    """About how many weights a GGUF file has, by its size and what its name says of their type."""
    bits = next((bits for name, bits in _BITS.items() if (quantisation or "").startswith(name)), _USUAL_BITS)
    return int(size_bytes * 8 / bits)


def recommended_bytes_in_int4(num_weights: int) -> int:
    """Free memory that is recommended for serving so many weights in int4, rounded."""
    return round((num_weights * _INT4_LOADED + _BASE_BYTES) / _ROUNDED_TO) * _ROUNDED_TO


def reason_for_int4(num_weights: int, memory: int) -> str:
    """One line for the person who did not choose it."""
    return (
        f"imported in int4, since int8 would take about {loaded_in_int8(num_weights) / 1e9:.1f} GB of this machine's "
        f"{memory / 1e9:.1f} GB: --weights int8 has it nonetheless"
    )
