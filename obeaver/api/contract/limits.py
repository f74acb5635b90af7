"""What a request may ask for at most. All of these limits stand here; `config.py` has their options.

They are numbers of what a parser has made of a body, so they hold in every dialect. What a body may be at all (bytes,
JSON values, depth, time) is `BodyLimits` of the web layer; what may wait is the engine's affair.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from obeaver.errors import BadRequest

KB: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """The most that one request may hold.

    Attributes:
        messages: Of a conversation. OpenAI has the same limit.
        tools: Functions on offer.
        schema_values: JSON values in the schemas of tools and answer together: to compile 3,000 properties takes a
            second or two.
        schema_kb: Thousands of characters in schemas, descriptions, grammars and choices together.
        stop_chars: Characters of all stop strings together: each is a state of the automaton that finds them.
        choices: Answers.
        logprobs: Log-probabilities in all answers together, alternatives counted.
        unsent_kb: Memory, in thousands of bytes, of what a client has not read; beyond it an answer stands still.
    """

    messages: int = 2048
    tools: int = 128
    schema_values: int = 20_000
    schema_kb: int = 500
    stop_chars: int = 4096
    choices: int = 128
    logprobs: int = 1_000_000
    unsent_kb: int = 256

    def check_messages(self, num_messages: int, at: str) -> None:
        """Refuse a conversation of too many messages.

        Raises:
            BadRequest: Says how many there may be; the same holds for all of these.
        """
        _refuse_more(num_messages, self.messages, "messages", at, "array_above_max_length")

    def check_schemas(self, tools: Sequence[Any], form: Any, form_at: str) -> None:
        """Refuse too many tools, or schemas that are too large in all.

        Args:
            tools: All that the request says of each.
            form: What the answer must hold to; None for nothing.
            form_at: Where that stood in the request.
        """
        _refuse_more(len(tools), self.tools, "tools", "tools", "array_above_max_length")
        size = _Size(self.schema_values, self.schema_kb * KB)
        for at, value in (("tools", tools), (form_at, form)):
            if not size.has_room_for(value):
                raise BadRequest(
                    f"`{at}`: schemas, descriptions and grammars are larger than this server accepts: at most "
                    f"{self.schema_values:,} JSON values and {self.schema_kb:,} kB of text in all.",
                    param=at,
                    code="schema_too_large",
                )

    def check_stop(self, stop: Iterable[str]) -> None:
        """Refuse stop strings that are too long."""
        num_chars = sum(map(len, stop))
        _refuse_more(num_chars, self.stop_chars, "characters in stop strings", "stop", "string_above_max_length")

    def check_choices(self, num_choices: int) -> None:
        """Refuse too many answers."""
        _refuse_more(num_choices, self.choices, "answers", "n", "integer_above_max_value")

    def check_logprobs(self, num_logprobs: int) -> None:
        """Refuse more log-probabilities than an answer may hold, counted for its longest possible text."""
        _refuse_more(num_logprobs, self.logprobs, "log-probabilities", "logprobs", "integer_above_max_value")


DEFAULT_LIMITS: Final = RequestLimits()


def _refuse_more(given: int, most: int, what: str, param: str, code: str) -> None:
    if given > most:
        raise BadRequest(f"The request has {given:,} {what}; this server accepts {most:,}.", param=param, code=code)


class _Size:
    """Room for values, which gets less with each."""

    def __init__(self, num_values: int, num_chars: int) -> None:
        self._num_values = num_values
        self._num_chars = num_chars

    def has_room_for(self, value: Any) -> bool:
        """Count a value with all that it holds, no further than to where there is no more room."""
        waiting: list[Any] = [value]
        while waiting and self._num_values >= 0 and self._num_chars >= 0:
            item = waiting.pop()
            self._num_values -= 1
            if isinstance(item, str):
                self._num_chars -= len(item)
            elif isinstance(item, Mapping):
                self._num_chars -= sum(len(name) for name in item if isinstance(name, str))
                waiting.extend(item.values())
            elif isinstance(item, list | tuple):
                waiting.extend(item)
        return not waiting and self._num_values >= 0 and self._num_chars >= 0
