"""What rendering a stranger's template may cost.

Every character that a template makes, every turn of a loop and every call is paid for, before it happens wherever one
operation could make much out of little. There is a limit on time as well, for what is slow without making anything: on
the thread's own, since a busy machine makes every template slow. Not stopped is a single comparison of values that are
nested into each other very often.
"""

import re
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from jinja2.exceptions import SecurityError

MAX_WORK: Final = 1 << 26
"""Units that one rendering may spend: one for a character, and these."""
PROBE_WORK: Final = 1 << 20
"""The same where a template is only tried out on a line of text."""
TURN: Final = 64
CALL: Final = 512
ITEM: Final = 128
MAX_SECONDS: Final = 5.0
MAX_BITS: Final = 1024

_PLAIN_FIELD: Final = re.compile(r"\{\{|\}\}|\{\w*\}")
_LONG_WIDTH: Final = re.compile(r"%[^%a-zA-Z]*(?:\d{4}|\*)")


class Budget:
    """What a rendering may still spend.

    Args:
        work: Units.
        clock: Seconds that this thread has computed.

    Raises:
        SecurityError: From any method, when nothing is left.
    """

    def __init__(self, work: int = MAX_WORK, clock: Callable[[], float] = time.thread_time) -> None:
        self._left = work
        self._clock = clock
        self._deadline = clock() + MAX_SECONDS

    def spend(self, units: int) -> None:
        """Pay."""
        self._left -= units
        if self._left < 0:
            raise SecurityError("it makes too much text or too many steps")
        if self._clock() > self._deadline:
            raise SecurityError("it takes too long")

    def weigh(self, value: object) -> None:
        """Pay for everything that would be printed with this value."""
        if isinstance(value, str):
            self.spend(len(value))
        elif isinstance(value, Mapping):
            for key, item in value.items():
                self.weigh(key)
                self.weigh(item)
        elif isinstance(value, Collection):
            for item in value:
                self.weigh(item)
        self.spend(ITEM)


def percent(budget: Budget, text: str, values: Any) -> str:
    """Pay for `text % values`, and do it."""
    if _LONG_WIDTH.search(text):
        raise SecurityError("it formats to a very great width")
    budget.weigh(values)
    formatted: str = text % values
    return formatted


def pay_for_format(budget: Budget, text: str, values: list[Any]) -> None:
    """Pay for `text.format(…)`, which may name its values and nothing more."""
    fields = _PLAIN_FIELD.findall(text)
    if {"{", "}"} & set(_PLAIN_FIELD.sub("", text)):
        raise SecurityError("it formats with more than names")
    for _ in fields:
        budget.weigh(values)


def pay_for_method(
    budget: Budget, text: str, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, ...]:
    """Pay for what a string's method makes; gives the arguments back, to be used instead of the given ones."""
    budget.spend(len(text))
    if method == "join" and args:
        items = list(args[0])
        budget.weigh(items)
        budget.spend(len(text) * len(items))
        return (items, *args[1:])
    if method == "format":
        pay_for_format(budget, text, [*args, *kwargs.values()])
    if method == "replace" and len(args) > 1:
        budget.spend(text.count(args[0]) * len(args[1]))
    return args


def _cost_of_sum(left: Any, right: Any) -> int:
    return _length(left) + _length(right)


def _cost_of_product(left: Any, right: Any) -> int:
    if isinstance(left, int) and isinstance(right, int):
        return _cost_of_bits(left.bit_length() + right.bit_length())
    if isinstance(left, int):
        left, right = right, left
    return _length(left) * max(right, 0) if isinstance(right, int) else 0


def _cost_of_power(left: Any, right: Any) -> int:
    is_whole = isinstance(left, int) and isinstance(right, int)
    return _cost_of_bits(left.bit_length() * max(right, 0)) if is_whole else 0


def _cost_of_bits(bits: int) -> int:
    return 0 if bits <= MAX_BITS else MAX_WORK + 1


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 0


COSTS: Final[Mapping[str, Callable[[Any, Any], int]]] = MappingProxyType(
    {"+": _cost_of_sum, "*": _cost_of_product, "**": _cost_of_power}
)
"""What operators cost, from their operands."""
