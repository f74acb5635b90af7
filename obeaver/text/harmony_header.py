"""Headers of messages in the harmony format, read from what has arrived of them."""

import re
from dataclasses import dataclass
from typing import Final

START, CHANNEL, MESSAGE, CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
FRAMES: Final = (START, CHANNEL)
"""With these a header begins."""
ROLE: Final = "assistant"
CHANNELS: Final = ("analysis", "commentary", "final")
TO_FUNCTION: Final = "to=functions."

_BEGINNINGS: Final = (CHANNEL, CONSTRAIN, MESSAGE, "to=", *CHANNELS)
_MAX_LENGTH: Final = 300
_RECIPIENT: Final = re.compile(r"\bto=(?:functions\.)?([^\s<{]+)")
_NAMED_CHANNEL: Final = re.compile(r"<\|channel\|>\s*(\w+)")
_BARE_CALL: Final = re.compile(r"\s*(?:commentary|analysis)?\s*to=[^{<]*\{")
_BARE_NOTE: Final = re.compile(r"\s*commentary\s*(?!\s|to=|to?$|$)")
_CHANNEL_BEHIND: Final = re.compile(r"(?:commentary|analysis)$")


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    Attributes:
        channel: The channel's name; None for text that is no header.
        recipients: What the name of whom it is for may be, where it is for somebody.
        body: The beginning of the message's body, as far as it was read with the header.
        is_bare: The tokens that frame messages are missing.
    """

    channel: str | None
    recipients: tuple[str, ...] = ()
    body: str = ""
    is_bare: bool = False


def read_header(text: str) -> Header | None:
    """What the text says as a header; None where more of it is needed."""
    if text.endswith(MESSAGE):
        channels = _NAMED_CHANNEL.findall(text)
        return Header(channels[-1] if channels else "final", _recipients(text))
    if text.lstrip() in ("analysis", "final"):
        return Header(text.lstrip(), is_bare=True)
    if _BARE_CALL.fullmatch(text):
        return Header("commentary", _recipients(text), body="{", is_bare=True)
    note = _BARE_NOTE.match(text)
    if note:
        return Header("commentary", body=text[note.end() :], is_bare=True)
    return None if _may_become_one(text) else Header(None)


def _recipients(text: str) -> tuple[str, ...]:
    found = _RECIPIENT.search(text)
    if found is None or found[1] == ROLE:
        return ()
    # The name of the channel may follow without a gap, where its token is missing.
    return found[1], _CHANNEL_BEHIND.sub("", found[1])


def _may_become_one(text: str) -> bool:
    rest = text.lstrip()
    if rest.startswith(START):
        rest = rest.removeprefix(START).lstrip()
        if ROLE.startswith(rest):
            return True
        rest = rest.removeprefix(ROLE).lstrip()
    elif START.startswith(rest):
        return True
    begun = any(rest.startswith(begin) or begin.startswith(rest) for begin in _BEGINNINGS)
    return begun and len(text) < _MAX_LENGTH
