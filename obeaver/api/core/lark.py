"""Pieces of grammars in Lark: exact texts and free ones, where some texts are control tokens of the model."""

import json
import re
from collections.abc import Mapping
from typing import TypeAlias

ControlIds: TypeAlias = Mapping[str, int]
"""Markers that are control tokens of the model: a grammar names them by id, since no text matches them."""


def literal(text: str, control_ids: ControlIds) -> str:
    """The expression of exactly this text; "" for none."""
    return " ".join(
        f"<[{control_ids[piece]}]>" if piece in control_ids else json.dumps(piece)
        for piece in pieces(text, control_ids)
    )


def pieces(text: str, control_ids: ControlIds) -> list[str]:
    """The text, cut into control tokens and what is between them."""
    if not control_ids:
        return [text] if text else []
    longest_first = sorted(control_ids, key=len, reverse=True)
    return [piece for piece in re.split(f"({'|'.join(map(re.escape, longest_first))})", text) if piece]


def text_through(name: str, end: str, control_ids: ControlIds) -> tuple[str, str]:
    """Any text up to the first `end`, and that.

    Args:
        name: For a rule; letters in lower case, digits and underscores.
        end: A text, not empty.
        control_ids: Markers that are control tokens.

    Returns:
        The rule, and the expression that refers to it.
    """
    first, *rest = pieces(end, control_ids)
    if first in control_ids:
        return f"{name}: /(?s:.*)/", f"{name} {literal(end, control_ids)}"
    if rest:  # A control token ends the text, wherever else the characters before it stand.
        return f"{name}: /(?s:.*){pattern(first)}/", f"{name} {literal(end[len(first) :], control_ids)}"
    return f"{name}[lazy]: /(?s:.*){pattern(first)}/", name


def pattern(text: str) -> str:
    """A regular expression for exactly this text."""
    return re.sub(r"[^A-Za-z0-9_ ]", lambda found: f"\\x{{{ord(found[0]):x}}}", text)
