"""Rotary position embedding: what a file says of it, and tables of cosines and sines.

Position p turns the i-th pair of a head by an angle of p * base ** (-2i / width), which scaling changes:

    linear     p is multiplied by 1 / factor (arXiv:2306.15595)
    factors    each frequency is divided by a number of the file (Llama 3.1's; longrope's, arXiv:2402.13753)
    yarn       fast frequencies stay, slow ones are as with linear, and those between are mixed (arXiv:2309.00071)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from obeaver.models.gguf.families import Family
from obeaver.models.gguf.keys import Keys
from obeaver.models.gguf.reader import FloatArray, TensorInfo

# A rotary embedding that is half understood computes another model.
_UNDERSTOOD: Final = frozenset(
    f"rope.{name}"
    for name in (
        *("dimension_count", "dimension_sections", "freq_base", "freq_base_swa", "scale_linear"),
        *("scaling.type", "scaling.factor", "scaling.attn_factor", "scaling.original_context_length"),
        *("scaling.finetuned", "scaling.yarn_beta_fast", "scaling.yarn_beta_slow", "scaling.yarn_log_multiplier"),
    )
)
_SAYS_NOTHING: Final = {"rope.scaling.yarn_ext_factor": 1.0, "rope.scaling.yarn_attn_factor": 1.0}
_KINDS: Final = ("none", "linear", "yarn", "longrope")
_FACTORS: Final = "rope_freqs.weight"
_SHORT_FACTORS: Final = "rope_factors_short.weight"
_LONG_FACTORS: Final = "rope_factors_long.weight"
# Below this the ends of YaRN's ramp count as one; llama.cpp's number.
_SHORTEST_RAMP: Final = 0.001


@dataclass(frozen=True, slots=True)
class Yarn:
    """Which frequencies YaRN changes.

    Attributes:
        original_context: Tokens that the model was trained with before.
        fast: Turns in that context from which a frequency stays.
        slow: Turns up to which it is divided by the whole factor.
    """

    original_context: int
    fast: float
    slow: float


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding of some layers.

    Attributes:
        base: Theta.
        width: Elements of each head that rotate; the others stay.
        position_scale: Positions are multiplied by this; 1 is none.
        factors: Name of a tensor [width / 2] that divides the frequencies, or None.
        yarn: None is no such scaling.
        magnitude: Cosines and sines are multiplied by this.
    """

    base: float
    width: int
    position_scale: float = 1.0
    factors: str | None = None
    yarn: Yarn | None = None
    magnitude: float = 1.0


@dataclass(frozen=True, slots=True)
class RopeChoice:
    """What a file says of rotary embedding.

    Attributes:
        whole: Of layers that look back over everything.
        windowed: Of layers with a window.
        context_length: Tokens that this embedding is for.
    """

    whole: Rope
    windowed: Rope
    context_length: int


def read_rope(
    keys: Keys,
    family: Family,
    tensors: Mapping[str, TensorInfo],
    head_dim: int,
    model_context: int,
    context: int | None,
) -> RopeChoice:
    """Read the keys, with the defaults that llama.cpp has for them.

    Args:
        keys: The file's.
        family: The model's.
        tensors: The file's.
        head_dim: Elements of a head.
        model_context: Tokens that the model can use.
        context: Tokens that are asked for; None is as many as the model can use, or, where a longer context would
            change how short texts are computed (longrope), as many as leave them as they are.

    Raises:
        ModelError: A key is of the wrong type or out of range, or says what is not known.
    """
    width = keys.count("rope.dimension_count", default=head_dim)
    _check_understood(keys, {**_SAYS_NOTHING, "rope.dimension_count_swa": width})
    if width > head_dim or width % 2:
        raise keys.refusal(f"rotary embedding of {width} of {head_dim} elements of a head is not supported")
    kind = keys.text("rope.scaling.type", "linear")
    if kind not in _KINDS:
        raise keys.refusal(f"rope scaling of the kind {kind!r} is not supported")
    factor = keys.factor("rope.scaling.factor" if keys.has("rope.scaling.factor") else "rope.scale_linear")
    if kind == "none":
        factor = 1.0
    original = keys.count("rope.scaling.original_context_length", default=model_context)
    factors, length = _factors(tensors, original, model_context, context)
    whole = Rope(
        base=_base(keys, "rope.freq_base", 10000.0),
        width=width,
        position_scale=1.0 / factor,
        factors=factors,
        yarn=_yarn(keys, family, original) if kind == "yarn" else None,
        magnitude=_magnitude(keys, family, kind, factor),
    )
    return RopeChoice(whole, _windowed(keys, family, whole), length)


def _check_understood(keys: Keys, says_nothing: Mapping[str, float]) -> None:
    """Refuse keys that are not read, unless they say what holds without them."""
    for key in sorted(set(keys.beginning("rope.")) - _UNDERSTOOD):
        if key not in says_nothing or keys.number(key) != says_nothing[key]:
            raise keys.refusal(f"its {keys.family}.{key} is not known, and passed over it would make another model")


def _base(keys: Keys, key: str, default: float) -> float:
    base = keys.number(key, default=default)
    if base <= 1:
        raise keys.refusal(f"its {keys.family}.{key} is {base}, out of range")
    return base


def _factors(
    tensors: Mapping[str, TensorInfo], original: int, model_context: int, context: int | None
) -> tuple[str | None, int]:
    """The tensor that divides frequencies, and the context that it is for."""
    asked = model_context if context is None else min(context, model_context)
    if _FACTORS in tensors:
        return _FACTORS, asked
    if _SHORT_FACTORS not in tensors and _LONG_FACTORS not in tensors:
        return None, asked
    if context is None or asked <= original:
        return _SHORT_FACTORS, min(asked, original)
    return _LONG_FACTORS, asked


def _yarn(keys: Keys, family: Family, original: int) -> Yarn:
    fast, slow = 32.0, 1.0
    if family.yarn_keys:
        fast = keys.number("rope.scaling.yarn_beta_fast", default=fast)
        slow = keys.number("rope.scaling.yarn_beta_slow", default=slow)
    return Yarn(original, fast, slow)


def _magnitude(keys: Keys, family: Family, kind: str, factor: float) -> float:
    magnitude = keys.factor("rope.scaling.attn_factor")
    if kind != "yarn" or factor <= 1.0:
        return magnitude
    whole = 1.0 + 0.1 * math.log(factor)
    multiplier = keys.optional("rope.scaling.yarn_log_multiplier") if family.yarn_keys else 0.0
    return magnitude * (whole / (1.0 + 0.1 * multiplier * math.log(factor)) if multiplier else whole)


def _windowed(keys: Keys, family: Family, whole: Rope) -> Rope:
    windows = family.windows
    if windows is None:
        return whole
    base = _base(keys, "rope.freq_base_swa", whole.base if windows.base is None else windows.base)
    if windows.scaled:
        return replace(whole, base=base)
    return Rope(base, whole.width)


def frequencies(rope: Rope, factors: FloatArray | None) -> npt.NDArray[np.float64]:
    """By how much each position turns each pair: [width / 2]."""
    pairs = np.arange(rope.width // 2, dtype=np.float64)
    unscaled = rope.base ** (-2 * pairs / rope.width)
    if factors is not None:
        unscaled = unscaled / factors
    scaled = unscaled * rope.position_scale
    if rope.yarn is None:
        return scaled
    first, last = (_pair_that_turns(rope, rope.yarn, turns) for turns in (rope.yarn.fast, rope.yarn.slow))
    start, end = max(0, math.floor(first)), min(rope.width - 1, math.ceil(last))
    slow = np.clip((pairs - start) / max(_SHORTEST_RAMP, end - start), 0, 1)
    mixed: npt.NDArray[np.float64] = slow * scaled + (1 - slow) * unscaled
    return mixed


def _pair_that_turns(rope: Rope, yarn: Yarn, turns: float) -> float:
    """The pair, as a fraction, that turns so often in the original context."""
    return rope.width * math.log(yarn.original_context / (turns * 2 * math.pi)) / (2 * math.log(rope.base))


def rope_tables(
    rope: Rope, factors: FloatArray | None, num_positions: int, num_pairs: int
) -> tuple[FloatArray, FloatArray]:
    """Cosines and sines of every position's angles, each [num_positions, num_pairs]; further pairs do not turn."""
    turning = rope.width // 2
    angles = np.outer(np.arange(num_positions, dtype=np.float64), frequencies(rope, factors))
    cos = np.ones((num_positions, num_pairs), np.float32)
    sin = np.zeros((num_positions, num_pairs), np.float32)
    cos[:, :turning] = np.cos(angles) * rope.magnitude
    sin[:, :turning] = np.sin(angles) * rope.magnitude
    return cos, sin
