"""Decoders whose tokens are plain to see, and what the text layer reads from them."""

import codecs
from collections.abc import Sequence
from typing import Any

from obeaver.text.events import TextEvent
from obeaver.text.text_stream import TextStream


class ByteDecoder:
    """Ids 0 to 255 are bytes of UTF-8, all others control tokens."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        return self._utf8.decode(bytes([token_id])) if token_id < 256 else ""

    def flush(self) -> str:
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return rest


class PieceDecoder:
    """Id i is piece i of a text, all others control tokens."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = pieces

    def push(self, token_id: int) -> str:
        return self._pieces[token_id] if token_id < len(self._pieces) else ""

    def flush(self) -> str:
        return ""


def events_of(pieces: Sequence[str], **options: Any) -> list[TextEvent]:
    """What `TextStream` with these options makes of a text that comes in these pieces, its end included."""
    stream = TextStream(PieceDecoder(pieces), **options)
    return [event for token_id in range(len(pieces)) for event in stream.push(token_id)] + stream.finish()
