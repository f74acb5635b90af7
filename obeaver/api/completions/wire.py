"""The objects of text completions, built from plain values: pure, no clock, no randomness."""

from collections.abc import Sequence

from obeaver.api.contract.wire import Object
from obeaver.api.core.head import Head
from obeaver.api.core.usage import Usage
from obeaver.api.openai.objects import dumps, envelope, usage_object


def text_completion(head: Head, choices: Sequence[Object], usage: Usage) -> Object:
    """The answer of `/v1/completions` with `stream: false`."""
    return {**envelope(head, "text_completion"), "choices": list(choices), "usage": usage_object(usage)}


def text_choice(index: int, text: str, logprobs: Object | None, finish_reason: str | None) -> Object:
    """One of a text completion's choices, or a piece of one."""
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}


def text_chunk(head: Head, choices: Sequence[Object], extra: Object) -> str:
    """One event of a streamed text completion, as JSON text."""
    return dumps({**envelope(head, "text_completion"), "choices": list(choices), **extra})
