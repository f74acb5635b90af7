"""Computing a lone stream's next tokens before they are chosen, where its text repeats itself or a grammar leads it.

Text often says again what stands in it already: code that is edited, passages that are quoted, lists, names. So the
tokens that followed the last occurrence of what was just said are a guess at what follows now ("prompt lookup
decoding", Saxena 2023; the verification is that of speculative decoding, Leviathan et al. 2023, arXiv:2211.17192). A
run over the chosen token and a few guessed ones costs little more than over the chosen one alone, since what takes
time is to read the weights. It gives the logits after each. The next token is chosen from the first of them, as ever;
if it is the guessed one, the logits after it are there already.

Where a grammar leaves one text alone (the keys of JSON, its punctuation, the names of tools), that text's own tokens
are the guess. Other tokens may spell it, and a grammar allows them too, so these also are chosen and not given.

Guesses decide when something is computed and never what: each token is chosen by the same sampler from the same
logits, to the bit, in the same order of random numbers. That needs a runner whose prefill computes what its decode
would (`RunnerInfo.decodes_ahead`). What was computed behind a wrong guess stands in the row beyond its length,
where nobody looks, and is written over.

    grammar, history -> guess -> how much of it to compute -> logits ahead -> handed out while the guess holds
"""

from collections.abc import Callable, Iterable
from collections.abc import Sequence as SequenceOf
from enum import Enum
from typing import Final, NamedTuple

import numpy as np

from obeaver.engine.decoding.sequence import Sequence, SequenceId
from obeaver.engine.runners.runner import Logits, Runner

_MATCHES: Final = (4, 3, 2)
"""How many tokens have to be the same as before, the longest match first. One alone is seldom right."""

_FIRST_CONFIDENCE: Final = 0.4
_FIRST_FORCED_CONFIDENCE: Final = 0.9
_LEARNING_RATE: Final = 0.15
"""Confidence follows the last dozen guesses."""

_REACH: Final = 16384
"""Tokens of the prompt that are looked at, from its end. Taking in a thousand takes 2 ms, once; so many, 45 ms."""

_NOTHING: Final = np.empty((0, 0), np.float32)

_WEIGHTS_PRICE: Final = 0.075
_ATTENTION_PRICE: Final = 0.65
_EVEN_PLACE: Final = 3600
"""Where attention takes half of a run of one token."""


def price(place: int) -> float:
    """What one token more costs in a run, in runs of one token.

    A product with the weights has nearly all of its work in reading them, which tokens share; attention has little that
    they share. By measurement on two cores with an int8 model of 135M parameters (AMD EPYC): a run of 8 tokens takes
    1.5 times as long as one of 1 at place 100, 2.3 times at place 1,000 and 3.4 times at place 4,000.
    """
    attention = place / (place + _EVEN_PLACE)
    return _WEIGHTS_PRICE * (1 - attention) + _ATTENTION_PRICE * attention


def best_count(confidences: SequenceOf[float], place: int) -> int:
    """How many guessed tokens to compute with a chosen one, for most tokens in the time of a run of one.

    Attention computes four tokens of a run at a time, and those left over one by one: at place 4,000 a run of 8 takes
    less time than one of 7. So runs have two tokens or a multiple of four.

    Args:
        confidences: How likely each guess is right; the n-th counts only if all before it are.
        place: Of the chosen token.
    """
    dear = price(place)
    best, most = 0, 1.0
    expected = likelihood = 1.0
    for count, confidence in enumerate(confidences, 1):
        likelihood *= confidence
        expected += likelihood
        tokens_per_time = expected / (1 + count * dear)
        if (count == 1 or count % 4 == 3) and tokens_per_time > most:
            best, most = count, tokens_per_time
    return best


class History:
    """The tokens of a sequence, and where what was said last was said before.

    Args:
        token_ids: Of the prompt.

    Attributes:
        num_appended: Tokens that came since.
    """

    def __init__(self, token_ids: Iterable[int] = ()) -> None:
        self.num_appended = 0
        self._ids: list[int] = []
        self._followers: dict[tuple[int, ...], int] = {}
        for token_id in token_ids:
            self._add(token_id)

    def append(self, token_id: int) -> None:
        """The next token."""
        self._add(token_id)
        self.num_appended += 1

    def guess(self, count: int, after: SequenceOf[int] = ()) -> list[int]:
        """The next `count` tokens if the text goes on as it did before; empty where it says something new.

        Args:
            count: How many.
            after: What is taken for said, behind the text.
        """
        longest = max(_MATCHES)
        last = [*self._ids[-longest:], *after][-longest:]
        for length in _MATCHES:
            is_known = len(self._ids) + len(after) > length
            start = self._followers.get(tuple(last[-length:])) if is_known else None
            if start is not None:
                # A loop that is shorter than the guess goes round.
                period = len(self._ids) - start
                return [self._ids[start + index % period] for index in range(count)]
        return []

    def _add(self, token_id: int) -> None:
        place = len(self._ids)
        for length in _MATCHES:
            if place >= length:
                self._followers[tuple(self._ids[-length:])] = place
        self._ids.append(token_id)


class _Source(Enum):
    """Who has made a guess."""

    HISTORY = "the text itself"
    GRAMMAR = "a grammar"
    NONE = "nobody: it fills a run up"


class _Guess(NamedTuple):
    token_id: int
    source: _Source


class Lookahead:
    """Decodes the sequence in row 0, which must be alone, and keeps what was computed ahead for the next calls.

    Args:
        runner: Computes; nobody else may call it between two calls of `decode` without a `forget`.
        longest: Most tokens to compute ahead.

    Attributes:
        num_guessed: Tokens computed ahead.
        num_kept: Calls that found their logits computed.
    """

    def __init__(self, runner: Runner, longest: int) -> None:
        self.num_guessed = self.num_kept = 0
        self._runner = runner
        self._longest = longest
        self._sequence: Sequence | None = None
        self._history = History()
        self._confidence: dict[_Source, float] = {}
        self._guess: list[_Guess] = []
        self._ahead = _NOTHING

    def end(self, sequence_id: SequenceId) -> None:
        """A sequence has ended: keep nothing of it. The history of a long prompt takes megabytes, a grammar may too."""
        if self._sequence is not None and self._sequence.id == sequence_id:
            self._sequence, self._history = None, History()
            self.forget()

    def forget(self) -> None:
        """What was computed ahead is void: the runner has done something else since."""
        self._guess, self._ahead = [], _NOTHING

    def decode(self, sequence: Sequence, room: int, forced: Callable[[], SequenceOf[int]] = tuple) -> Logits:
        """The logits after the sequence's last token.

        Args:
            sequence: In row 0; all of its tokens but the last are computed.
            room: Places for tokens in the row.
            forced: Tells the tokens that a grammar makes likely, where one does.

        Returns:
            [1, vocab_size]. Valid until the next call of the runner.

        Raises:
            Exception: What the runner raises.
        """
        if sequence is not self._sequence:
            self._begin(sequence)
        self._catch_up(sequence)
        if len(self._ahead) > 0:
            self.num_kept += 1
        else:
            self._compute(sequence, room, forced())
        logits, self._ahead = self._ahead[:1], self._ahead[1:]
        return logits

    def _begin(self, sequence: Sequence) -> None:
        self._sequence = sequence
        self._history = History(sequence.prompt_ids[-_REACH:])
        self._confidence = {_Source.HISTORY: _FIRST_CONFIDENCE, _Source.GRAMMAR: _FIRST_FORCED_CONFIDENCE}
        self.forget()

    def _catch_up(self, sequence: Sequence) -> None:
        """Take in what was chosen since: one token, or more if others were served meanwhile."""
        for token_id in sequence.output_ids[self._history.num_appended :]:
            self._learn(token_id)
            self._history.append(token_id)

    def _learn(self, token_id: int) -> None:
        """Compare a token with the one that was guessed, whether or not anything was computed for it."""
        if not self._guess:
            return
        guess = self._guess.pop(0)
        was_right = guess.token_id == token_id
        if guess.source is not _Source.NONE:
            self._confidence[guess.source] += _LEARNING_RATE * (was_right - self._confidence[guess.source])
        if not was_right:
            self.forget()

    def _compute(self, sequence: Sequence, room: int, forced: SequenceOf[int]) -> None:
        place, token_id = sequence.num_computed, sequence.output_ids[-1]
        left = min(room - place, sequence.params.max_tokens - len(sequence.output_ids)) - 1
        self._guess = self._guessed(forced[: self._longest])
        confidences = [self._confidence.get(guess.source, 0.0) for guess in self._guess[: max(left, 0)]]
        draft = [guess.token_id for guess in self._guess[: best_count(confidences, place)]]
        if draft:
            self.num_guessed += len(draft)
            self._ahead = self._runner.prefill_with_logits(0, [token_id, *draft], place, decoded=True)
        else:
            self._ahead = self._runner.decode([token_id], [place])

    def _guessed(self, forced: SequenceOf[int]) -> list[_Guess]:
        """What the grammar says, what was said before behind that, and anything to make runs of whole fours."""
        guess = [_Guess(token_id, _Source.GRAMMAR) for token_id in forced]
        said = self._history.guess(self._longest - len(forced), forced)
        guess += [_Guess(token_id, _Source.HISTORY) for token_id in said]
        if guess:
            guess += [_Guess(guess[-1].token_id, _Source.NONE)] * (self._longest - len(guess))
        return guess
