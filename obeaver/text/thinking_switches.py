"""How much a model shall think, told to its template in the words of its family.

OpenAI's `reasoning_effort` is one of six words. Templates read a word of their own, a yes or no, or a budget of tokens;
which of these a family has, the names of the variables that its template reads tell.
"""

from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import Any, Final

NO_THINKING: Final = "none"

_YES_OR_NO: Final = ("enable_thinking", "thinking", "reasoning")
_EFFORTS: Final = ("reasoning_effort", "thinking_effort")
_BUDGET: Final = "thinking_budget"
_MODE: Final = "thinking_mode"

# Words that some families have beside `low`, `medium` and `high`; the first that a template itself names is taken.
_OWN_WORDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"none": ("none", "no_think", "minimal"), "minimal": ("minimal",), "xhigh": ("xhigh", "max")}
)
_LOW_AND_HIGH: Final = ("low", "high")
_COMMON_WORDS: Final[Mapping[str, str]] = MappingProxyType({"none": "low", "minimal": "low", "xhigh": "high"})
# MiniMax M3; a template that reads the variable but does not name the first of these words has others.
_NO_MODE: Final = "disabled"
_MODES: Final[Mapping[str, str]] = MappingProxyType({"none": _NO_MODE, "minimal": "adaptive", "low": "adaptive"})
_FULL_MODE: Final = "enabled"
# Seed-OSS was taught multiples of 512, and no limit, which is what it has without this variable.
_BUDGETS: Final[Mapping[str, int]] = MappingProxyType({"none": 0, "minimal": 512, "low": 1024, "medium": 4096})


def thinking_variables(effort: str | None, *, enabled: bool | None, source: str, names: Set[str]) -> dict[str, Any]:
    """The template's variables that stand for what was asked for.

    Args:
        effort: `none`, `minimal`, `low`, `medium`, `high` or `xhigh`; None where nothing was asked for.
        enabled: Whether to think at all; None where the effort tells, if anything does.
        source: The template.
        names: The variables that it reads.
    """
    if enabled is False:
        effort = NO_THINKING
    has_mode = _MODE in names and _names(_NO_MODE, source)
    if effort is None and not enabled:
        return {}
    variables: dict[str, Any] = {name: effort != NO_THINKING for name in _YES_OR_NO if name in names}
    if has_mode:
        variables[_MODE] = _MODES.get(effort or "", _FULL_MODE)
    if effort is None:
        return variables
    variables |= {name: _word(effort, source) for name in _EFFORTS if name in names}
    if _BUDGET in names and effort in _BUDGETS:
        variables[_BUDGET] = _BUDGETS[effort]
    return variables


def thinks(variables: Mapping[str, Any]) -> bool:
    """Whether a template with these variables lets the model think, as far as they tell."""
    return (
        not any(variables.get(name) is False for name in _YES_OR_NO)
        and variables.get(_BUDGET) != 0
        and variables.get(_MODE) != _NO_MODE
    )


def _word(effort: str, source: str) -> str:
    knows_two = all(_names(word, source) for word in _LOW_AND_HIGH) and not _names("medium", source)
    if effort == "medium" and knows_two:  # Hunyuan 3 and Kimi K3 refuse any other word
        return "high"
    own = (word for word in _OWN_WORDS.get(effort, ()) if _names(word, source))
    return next(own, _COMMON_WORDS.get(effort, effort))


def _names(word: str, source: str) -> bool:
    return f"'{word}'" in source or f'"{word}"' in source
