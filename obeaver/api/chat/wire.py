"""The objects of chat completions, built from plain values: pure, no clock, no randomness."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from obeaver.api.contract.wire import Object
from obeaver.api.core.head import Head
from obeaver.api.core.logprobs import ContentToken
from obeaver.api.core.usage import Usage
from obeaver.api.openai.objects import dumps, envelope, logprobs_object, usage_object

_PLACEHOLDER = "\x00text\x00"


def completion(head: Head, choices: Sequence[Object], usage: Usage) -> Object:
    """The answer of `stream: false`."""
    return {**envelope(head, "chat.completion"), "choices": list(choices), "usage": usage_object(usage)}


def choice(index: int, message: Object, finish_reason: str, logprobs: Sequence[ContentToken] | None) -> Object:
    """One of a completion's choices."""
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs_object(logprobs),
        "finish_reason": finish_reason,
    }


def message(content: str, reasoning: str, tool_calls: Sequence[Object]) -> Object:
    """An assistant's message; `content` is null where there are only tool calls."""
    result: Object = {"role": "assistant", "content": content, "refusal": None}
    if tool_calls:
        result |= {"content": content or None, "tool_calls": list(tool_calls)}
    return result | reasoning_fields(reasoning) if reasoning else result


def reasoning_fields(text: str) -> Object:
    """Thoughts under both names that clients look for."""
    return {"reasoning_content": text, "reasoning": text}


def tool_call(call_id: str, name: str, arguments: str) -> Object:
    """A call of a function; `arguments` is JSON as text."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def chunk(head: Head, choices: Sequence[Object], extra: Mapping[str, Any]) -> Object:
    """One event of a stream."""
    return {**envelope(head, "chat.completion.chunk"), "choices": list(choices), **extra}


def delta(index: int, fields: Mapping[str, Any], *, finish_reason: str | None = None) -> Object:
    """One of a chunk's choices, without log-probabilities."""
    return {"index": index, "delta": dict(fields), "logprobs": None, "finish_reason": finish_reason}


class ChunkText:
    """JSON texts of the chunks of one stream.

    Content is most of a stream, so its chunk is encoded once for each choice, around a hole for the text. Everything is
    ASCII: some clients split lines at U+2028 and its like, which JSON may hold as they are.

    Args:
        head: What all chunks repeat.
        include_usage: OpenAI then has `usage` in every chunk, null in all but the last.
        told: Gives what a chunk tells beside its choices and is never the same twice; None for nothing.
    """

    def __init__(self, head: Head, *, include_usage: bool, told: Callable[[], Object] | None = None) -> None:
        self._head = head
        self._extra: Object = {"usage": None} if include_usage else {}
        self._told = told
        self._around: dict[int, tuple[str, str]] = {}

    def content(self, index: int, text: str) -> str:
        """A chunk that only adds content."""
        if self._told is not None:
            return self.fields(index, {"content": text})
        if index not in self._around:
            before, _, after = self.fields(index, {"content": _PLACEHOLDER}).partition(dumps(_PLACEHOLDER))
            self._around[index] = before, after
        before, after = self._around[index]
        return f"{before}{json.dumps(text)}{after}"

    def content_with_logprobs(self, index: int, text: str, logprobs: Sequence[ContentToken]) -> str:
        """A chunk that adds content and the log-probabilities of its tokens."""
        return self._one(delta(index, {"content": text}) | {"logprobs": logprobs_object(logprobs)})

    def fields(self, index: int, fields: Mapping[str, Any]) -> str:
        """A chunk with any delta."""
        return self._one(delta(index, fields))

    def finish(self, index: int, reason: str) -> str:
        """A choice's last chunk."""
        return self._one(delta(index, {}, finish_reason=reason))

    def usage(self, usage: Usage) -> str:
        """The stream's last chunk, where it was asked for."""
        return self._chunk([], {"usage": usage_object(usage)})

    def _one(self, item: Object) -> str:
        return self._chunk([item], self._extra)

    def _chunk(self, choices: Sequence[Object], extra: Object) -> str:
        told = {} if self._told is None else self._told()
        return dumps(chunk(self._head, choices, extra | told))
