"""A query and a document in one prompt, for rerankers that are decoders and judge by their next token."""

from collections.abc import Sequence

from obeaver.text.prompt import ControlTokens, Piece
from obeaver.text.tokenizer import ModelInput, Tokenizer

_QUERY, _DOCUMENT = "{query}", "{document}"


def prompted_pairs(
    tokenizer: Tokenizer, template: str, query: str, documents: Sequence[str], *, limit: int | None
) -> list[ModelInput]:
    """One input a document.

    Args:
        tokenizer: The model's.
        template: The prompt, with `{query}` and `{document}`. Control tokens are found in it alone: in a query and in a
            document they are plain text.
        query: What is asked.
        documents: What may answer it.
        limit: Longer inputs lose tokens at the end of their document; None: nothing is cut.
    """
    pieces = list(ControlTokens(tokenizer.control_tokens).split(template))
    at = next((index for index, piece in enumerate(pieces) if _DOCUMENT in piece.text), len(pieces) - 1)
    before, after = (_ids(tokenizer, part, query) for part in (pieces[:at], pieces[at + 1 :]))
    room = None if limit is None else max(0, limit - len(before) - len(after))
    inputs = []
    for document in documents:
        middle = tokenizer.encode(_filled(pieces[at].text, query, document))
        kept = middle[:room]
        ids = [*before, *kept, *after]
        inputs.append(ModelInput(ids, [0] * len(ids), len(middle) - len(kept)))
    return inputs


def _ids(tokenizer: Tokenizer, pieces: Sequence[Piece], query: str) -> list[int]:
    ids: list[int] = []
    for piece in pieces:
        text = piece.text if piece.is_control else _filled(piece.text, query, "")
        ids += tokenizer.encode(text, special=piece.is_control)
    return ids


def _filled(text: str, query: str, document: str) -> str:
    """Each place filled once: a query that speaks of a place stays as it is."""
    before, place, after = text.partition(_DOCUMENT)
    return before.replace(_QUERY, query) + (document + after.replace(_QUERY, query) if place else "")
