"""The grammar of a whole answer: reasoning first, then what it may say and call, in this order or as alternatives.

must call            think  calls
form                 think  form
form, may call       think  (form | calls)
text, may call       think  (text marker call)*  text

Where a model writes in channels, a form and a text are messages of one, and so is a call.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from obeaver.api.core.lark import ControlIds, literal, pattern, pieces, text_through
from obeaver.api.core.tool_grammar import CallRules
from obeaver.engine.grammar.grammar import Part, grammar_text, lark_part
from obeaver.text.tool_calls.dialect import Channels


@dataclass(frozen=True, slots=True)
class Thinking:
    """How a model's reasoning is marked.

    Attributes:
        open: Marker in front of it.
        close: Marker behind it.
        is_open: The prompt has opened it already.
    """

    open: str
    close: str
    is_open: bool


class AnswerGrammar:
    """Puts a grammar together.

    Args:
        thinking: Of a model that reasons.
        control_ids: Markers that are control tokens.
        channels: Of a model that writes in channels.
    """

    def __init__(self, thinking: Thinking | None, control_ids: ControlIds, channels: Channels | None = None) -> None:
        self._thinking = thinking
        self._control_ids = control_ids
        self._channels = channels
        self._begin = literal(channels.answer, control_ids) if channels else ""
        self._end = literal(channels.end, control_ids) if channels else ""

    def form(self, answer: Part) -> str:
        """Nothing but this form."""
        if self._thinking is None and self._channels is None:
            return grammar_text(answer)
        return self._text(f"{self._begin} @answer", [], {"answer": answer})

    def must_call(self, calls: CallRules, *, several: bool) -> str:
        """Nothing but calls."""
        # Models end their last call with a line break, or go on from there to the next.
        end = ["END: /[ \\n]{1,4}/"] if several else []
        return self._text(f"{calls.block} {'END?' if several else ''}", [*calls.rules, *end], calls.parts)

    def form_or_calls(self, answer: Part, calls: CallRules, json_calls: Sequence[Part]) -> str:
        """Either this form, or calls; where a call is a JSON text itself, one call."""
        if json_calls and not self._channels:
            parts = {f"call_{index}": part for index, part in enumerate(json_calls)}
            return self._text(" | ".join(["@answer", *(f"@{name}" for name in parts)]), [], {"answer": answer, **parts})
        return self._text(f"{self._begin} @answer | {calls.block}", calls.rules, {"answer": answer, **calls.parts})

    def text_or_calls(self, calls: CallRules, *, several: bool) -> str:
        """Any text; from a marker on, or at the beginning of a call that has none, a call."""
        end = f"({self._end})?" if self._end else ""
        if self._channels and self._begin:
            text = f"{self._begin} TEXT {end}"
            return self._text(f"{calls.block} | {text}", ["TEXT: /(?s:.*)/", *calls.rules], calls.parts)
        excluded = [] if calls.marker else list(calls.openings)
        if self._thinking and not self._thinking.is_open and self._thinking.open not in self._control_ids:
            excluded.append(self._thinking.open)
        but = "".join(f" & ~/{pattern(text)}(?s:.*)/" for text in excluded)
        rules = [f"TEXT: /(?s:.*)/{but}", *calls.rules]
        if not calls.marker:
            return self._text(f"{calls.block} | TEXT", rules, calls.parts)
        first, *rest = pieces(calls.marker, self._control_ids)
        if first in self._control_ids:
            rules.append(f"head: TEXT {literal(calls.marker, self._control_ids)}")
        elif rest:  # A control token ends the text that it stands behind.
            behind = literal(calls.marker[len(first) :], self._control_ids)
            rules += [f"HEAD: /(?s:.*){pattern(first)}/{but}", f"head: HEAD {behind}"]
        else:
            rules += [f"HEAD: /(?s:.*){pattern(first)}/{but}", "head[lazy]: HEAD"]
        once = self._channels is not None or not several
        start = f"head {calls.after_marker} | TEXT {end}" if once else f"(head {calls.after_marker})* TEXT"
        return self._text(start, rules, calls.parts)

    def _text(self, start: str, rules: Sequence[str], parts: dict[str, Part]) -> str:
        lines = [f"start: {self._think()} answer", f"answer: {start}", *rules, *self._think_rules()]
        return grammar_text(lark_part("\n".join(lines)), **parts)

    def _think(self) -> str:
        if self._thinking is None:
            return ""
        return "think" if self._thinking.is_open else "think?"

    def _think_rules(self) -> list[str]:
        thinking = self._thinking
        if thinking is None:
            return []
        begin = "" if thinking.is_open else literal(thinking.open, self._control_ids)
        between = literal(self._channels.between, self._control_ids) if self._channels else "THINK_SPACE?"
        rule, expression = text_through("thought", thinking.close, self._control_ids)
        return [f"think: {begin} {expression} {between}", rule, "THINK_SPACE: /\\n{1,2}/"]
