"""Completions as a client gets them, whole or as a stream: both are made of the same pieces.

The echoed prompt is a choice's first piece. With `max_tokens` 0 it is the only one: the engine generates at least one
token, which is dropped here.
"""

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from obeaver.api.completions import wire
from obeaver.api.completions.job import CompletionJob
from obeaver.api.contract.wire import Object
from obeaver.api.core.answer_stream import StreamWriter
from obeaver.api.core.endpoint import MakeObject
from obeaver.api.core.generation import Choice, Generation
from obeaver.api.core.head import Head
from obeaver.api.core.logprobs import ContentToken, content_token
from obeaver.api.core.outputs import Ended, Output, Piece
from obeaver.api.core.text_prompts import TextPrompt
from obeaver.api.core.usage import Usage
from obeaver.api.openai.objects import finite, timings_object, usage_object
from obeaver.text.events import ContentDelta
from obeaver.web import sse

_MANY_TOKENS: Final = 500


class TextPiece(NamedTuple):
    """Part of one choice's text, with the log-probabilities of its tokens if they were asked for."""

    text: str
    logprobs: Object | None


class ChoiceText:
    """The pieces of one choice, in order.

    Args:
        job: What was asked for.
        choice: Read when its first output has come.
    """

    def __init__(self, job: CompletionJob, choice: Choice) -> None:
        self._job = job
        self._choice = choice
        self._prompt = job.prompt_of(choice.index)
        self._wants_logprobs = job.asked.logprobs
        self._offsets = TextOffsets()
        self._begun = False

    def of(self, output: Output) -> list[TextPiece]:
        """The pieces that an output adds; before the first one, the prompt where it is echoed."""
        pieces = [] if self._begun or not self._job.asked.echo else [self._echo()]
        self._begun = True
        if isinstance(output, Piece) and isinstance(output.event, ContentDelta) and self._job.asked.sampling.max_tokens:
            pieces.append(self._piece(output.event.text, output.logprobs))
        return pieces

    def finish_reason(self, ended: Ended) -> str:
        """Why the choice ended."""
        return ended.finish_reason if self._job.asked.sampling.max_tokens else "length"

    def _piece(self, text: str, tokens: Sequence[ContentToken]) -> TextPiece:
        if not self._wants_logprobs:
            return TextPiece(text, None)
        return TextPiece(text, text_logprobs(tokens, [self._offsets.place(token.token) for token in tokens]))

    def _echo(self) -> TextPiece:
        if not self._wants_logprobs:
            return TextPiece(self._prompt.text, None)
        tokens = _prompt_tokens(self._job, self._choice, self._prompt)
        decoder = self._job.model.tokenizer.decoder(skip_special=False)
        places: list[int] = []
        for index, token_id in enumerate(self._prompt.token_ids):
            places.append(self._offsets.num_chars)
            if index >= self._prompt.num_added:
                self._offsets.num_chars += len(decoder.push(token_id))
        return TextPiece(self._prompt.text, text_logprobs(tokens, places))


class TextOffsets:
    """Where tokens begin in a text.

    Attributes:
        num_chars: Characters so far.
    """

    def __init__(self) -> None:
        self.num_chars = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def place(self, token: bytes) -> int:
        """Where the next token begins; one that goes on with a character begins where that one does."""
        place = self.num_chars
        self.num_chars += len(self._utf8.decode(token))
        return place


class FirstToken(NamedTuple):
    """A prompt's first token: nothing stands before it that would make it likely or not."""

    token: bytes
    logprob: None = None


def _prompt_tokens(job: CompletionJob, choice: Choice, prompt: TextPrompt) -> list[ContentToken | FirstToken]:
    token_bytes = job.model.tokenizer.token_bytes
    first = FirstToken(token_bytes(prompt.token_ids[0]))
    others = zip(prompt.token_ids[1:], choice.prompt_logprobs, strict=True)
    return [first, *(content_token(token_bytes, token_id, logprobs) for token_id, logprobs in others)]


def text_logprobs(tokens: Sequence[ContentToken | FirstToken], places: Sequence[int]) -> Object:
    """Log-probabilities in the form that they have beside a text: one list for each kind of value."""
    return {
        "tokens": [_token_text(token.token) for token in tokens],
        "token_logprobs": [None if token.logprob is None else finite(token.logprob) for token in tokens],
        "top_logprobs": [_alternatives(token) for token in tokens],
        "text_offset": list(places),
    }


def _alternatives(token: ContentToken | FirstToken) -> dict[str, float] | None:
    """Token to log-probability, likeliest first, the token itself among them. Of two with one text, the likelier."""
    if isinstance(token, FirstToken):
        return None
    found: dict[str, float] = {}
    for other, logprob in (*token.top, (token.token, token.logprob)):
        found.setdefault(_token_text(other), finite(logprob))
    return found


def _token_text(token: bytes) -> str:
    r"""The token's text; `bytes:\xe2\x82` for a part of a character, so that different tokens stay different."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)


async def whole_completion(job: CompletionJob, generation: Generation, head: Head) -> MakeObject:
    """Wait for all choices; what is returned words them.

    Raises:
        ApiError: The engine failed.
    """
    outputs = [output async for batch in generation for output in batch]

    def make() -> Object:
        choices = [_whole_choice(job, choice, outputs) for choice in generation.choices]
        told = wire.text_completion(head, choices, usage_of(job, generation.usage))
        return told | _timings(job, generation)

    return make


def _timings(job: CompletionJob, generation: Generation) -> Object:
    """What the answer has taken so far, where that was asked for."""
    if not job.asked.timings:
        return {}
    return {"timings": timings_object(usage_of(job, generation.usage), generation.timings)}


def _whole_choice(job: CompletionJob, choice: Choice, outputs: Iterable[Output]) -> Object:
    text = ChoiceText(job, choice)
    mine = [output for output in outputs if output.choice == choice.index]
    pieces = [piece for output in mine for piece in text.of(output)]
    (reason,) = [text.finish_reason(output) for output in mine if isinstance(output, Ended)]
    logprobs = _joined([piece.logprobs for piece in pieces if piece.logprobs is not None])
    whole = "".join(piece.text for piece in pieces)
    return wire.text_choice(choice.index, whole, logprobs if job.asked.logprobs else None, reason)


def _joined(parts: Sequence[Object]) -> Object:
    return {key: [value for part in parts for value in part[key]] for key in text_logprobs([], [])}


def usage_of(job: CompletionJob, usage: Usage) -> Usage:
    """What the client has to know of: a token that was dropped is none."""
    return usage if job.asked.sampling.max_tokens else replace(usage, completion=0)


class CompletionChunks(StreamWriter):
    """Chunks of streamed completions.

    Args:
        job: What was asked for.
        generation: Submitted.
        head: What every chunk begins with.
    """

    def __init__(self, job: CompletionJob, generation: Generation, head: Head) -> None:
        self._job = job
        self._generation = generation
        self._head = head
        self._include_usage = job.asked.include_usage
        self._texts = [ChoiceText(job, choice) for choice in generation.choices]

    def of(self, output: Output) -> bytes:
        """The chunks of a piece of output."""
        text = self._texts[output.choice]
        items = [wire.text_choice(output.choice, *piece, None) for piece in text.of(output)]
        if isinstance(output, Ended):
            items.append(wire.text_choice(output.choice, "", None, text.finish_reason(output)))
        return b"".join(self._event([item], None) for item in items)

    def end(self, usage: Usage) -> bytes:
        """The usage, where it was asked for, and the mark of the end."""
        return (self._event([], usage_of(self._job, usage)) if self._include_usage else b"") + sse.DONE

    def _event(self, choices: Sequence[Object], usage: Usage | None) -> bytes:
        extra: Object = {"usage": None if usage is None else usage_object(usage)} if self._include_usage else {}
        chunk = wire.text_chunk(self._head, choices, extra | _timings(self._job, self._generation))
        return sse.event(chunk, in_turns=any(self._is_long(choice) for choice in choices))

    @staticmethod
    def _is_long(choice: Object) -> bool:
        """Whether it reports a long prompt, whose log-probabilities come at once."""
        return len((choice["logprobs"] or {}).get("tokens", ())) > _MANY_TOKENS
