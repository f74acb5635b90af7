"""OpenAI's objects, built from plain values: pure, no clock, no randomness."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

LOWEST_LOGPROB = -9999.0
"""JSON has no -Infinity; OpenAI's reference names this number for tokens that are as good as impossible."""

_PLACEHOLDER = "\x00text\x00"


@dataclass(frozen=True, slots=True)
class Head:
    """What every chunk of one answer repeats.

    Attributes:
        id: `chatcmpl-…` or `cmpl-…`.
        created: Whole seconds since 1970.
        model: The model that answers, whatever the request named.
        system_fingerprint: Changes when the same seed may give another text.
    """

    id: str
    created: int
    model: str
    system_fingerprint: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; `cached` of the prompt's and `reasoning` of the completion's are parts of those."""

    prompt: int
    completion: int
    cached: int
    reasoning: int

    def as_object(self) -> Object:
        """OpenAI's `usage`."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }


def system_fingerprint(*identity: object) -> str:
    """A short name of everything that the text depends on beside the request: the model's files and the build."""
    text = json.dumps([str(part) for part in identity])
    return f"fp_{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def completion(head: Head, choices: Sequence[Object], usage: Usage) -> Object:
    """The answer of `stream: false`."""
    return {**_envelope(head, "chat.completion"), "choices": list(choices), "usage": usage.as_object()}


def choice(index: int, message: Object, finish_reason: str, logprobs: Sequence[Object] | None) -> Object:
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
    return {**_envelope(head, "chat.completion.chunk"), "choices": list(choices), **extra}


def delta(index: int, fields: Mapping[str, Any], *, finish_reason: str | None = None) -> Object:
    """One of a chunk's choices, without log-probabilities."""
    return {"index": index, "delta": dict(fields), "logprobs": None, "finish_reason": finish_reason}


def _envelope(head: Head, kind: str) -> Object:
    return {
        "id": head.id,
        "object": kind,
        "created": head.created,
        "model": head.model,
        "system_fingerprint": head.system_fingerprint,
    }


def text_completion(head: Head, choices: Sequence[Object], usage: Usage) -> Object:
    """The answer of `/v1/completions` with `stream: false`."""
    return {**_envelope(head, "text_completion"), "choices": list(choices), "usage": usage.as_object()}


def text_choice(index: int, text: str, logprobs: Object | None, finish_reason: str | None) -> Object:
    """One of a text completion's choices, or a piece of one."""
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}


def text_chunk(head: Head, choices: Sequence[Object], usage: Usage | None, *, include_usage: bool) -> str:
    """One event of a streamed text completion, as JSON text; it has a `usage` where that was asked for, or null."""
    extra: Object = {"usage": None if usage is None else usage.as_object()} if include_usage else {}
    return _dumps({**_envelope(head, "text_completion"), "choices": list(choices), **extra})


def tokenized(token_ids: Sequence[int], context_length: int, strings: Sequence[str] | None) -> Object:
    """The answer of `/v1/tokenize`, with vLLM's names."""
    result: Object = {"count": len(token_ids), "max_model_len": context_length, "tokens": list(token_ids)}
    return result if strings is None else result | {"token_strs": list(strings)}


def logprobs_object(entries: Sequence[Object] | None) -> Object | None:
    """A choice's `logprobs`: null when they were not asked for."""
    return None if entries is None else {"content": list(entries), "refusal": None}


def token_logprob(token: bytes, logprob: float) -> Object:
    """A token with its bytes: they, and not its text, join to the whole even inside a character."""
    return {
        "token": token.decode("utf-8", errors="replace"),
        "logprob": max(logprob, LOWEST_LOGPROB),
        "bytes": list(token),
    }


def model_object(name: str, created: int, context_length: int) -> Object:
    """One entry of `/v1/models`; `context_length` is an addition of ours."""
    return {"id": name, "object": "model", "created": created, "owned_by": "obeaver", "context_length": context_length}


def object_list(items: Sequence[Object]) -> Object:
    """OpenAI's list."""
    return {"object": "list", "data": list(items)}


class ChunkText:
    """JSON texts of the chunks of one stream.

    Content is most of a stream, so its chunk is encoded once for each choice, around a hole for the text. Everything is
    ASCII: some clients split lines at U+2028 and its like, which JSON may hold as they are.

    Args:
        head: What all chunks repeat.
        include_usage: OpenAI then has `usage` in every chunk, null in all but the last.
    """

    def __init__(self, head: Head, *, include_usage: bool) -> None:
        self._head = head
        self._extra: Object = {"usage": None} if include_usage else {}
        self._around: dict[int, tuple[str, str]] = {}

    def content(self, index: int, text: str) -> str:
        """A chunk that only adds content."""
        if index not in self._around:
            before, _, after = self.fields(index, {"content": _PLACEHOLDER}).partition(_dumps(_PLACEHOLDER))
            self._around[index] = before, after
        before, after = self._around[index]
        return f"{before}{json.dumps(text)}{after}"

    def content_with_logprobs(self, index: int, text: str, logprobs: Sequence[Object]) -> str:
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
        return _dumps(chunk(self._head, [], {"usage": usage.as_object()}))

    def _one(self, item: Object) -> str:
        return _dumps(chunk(self._head, [item], self._extra))


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
