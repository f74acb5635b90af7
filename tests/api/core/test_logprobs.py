"""Which tokens' log-probabilities go out with which text."""

from obeaver.api.core.logprobs import ContentLogprobs, ContentToken
from obeaver.api.openai.objects import token_entry
from obeaver.engine.sampling.sampled_token import SampledToken, TokenLogprobs

END = 0


def held(text: str) -> ContentLogprobs:
    waiting = ContentLogprobs(lambda token_id: chr(token_id).encode(), frozenset({END}))
    for char in text:
        waiting.hold(SampledToken(ord(char), TokenLogprobs(-0.5, ((ord(char), -0.5), (ord("z"), -2.0)))))
    return waiting


def tokens(entries: list[ContentToken]) -> list[str]:
    return [entry.token.decode() for entry in entries]


def test_a_token_comes_with_its_alternatives() -> None:
    (token,) = held("a").release()
    assert (token.token, token.logprob, len(token.top)) == (b"a", -0.5, 2)
    assert [tuple(token.top) for _ in range(2)] == [((b"a", -0.5), (b"z", -2.0))] * 2
    assert token_entry(token) == {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [
            {"token": "a", "logprob": -0.5, "bytes": [97]},
            {"token": "z", "logprob": -2.0, "bytes": [122]},
        ],
    }


def test_everything_held_goes_out_once() -> None:
    waiting = held("abc")
    assert tokens(waiting.release()) == ["a", "b", "c"]
    assert waiting.release() == []


def test_tokens_of_a_stop_string_are_left_out() -> None:
    waiting = held("néSTOP")
    assert tokens(waiting.release_up_to("né")) == ["n", "é"]
    assert waiting.release() == []


def test_what_was_no_content_is_dropped() -> None:
    waiting = held("abc")
    waiting.drop()
    assert waiting.release() == []


def test_ends_of_text_and_tokens_without_logprobs_are_not_held() -> None:
    waiting = held("")
    waiting.hold(SampledToken(END, TokenLogprobs(-0.1, ())))
    waiting.hold(SampledToken(ord("a")))
    assert waiting.release() == []
