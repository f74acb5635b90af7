"""The protocols that obeaver speaks, as far as one streamed answer goes: what is asked, and how it is worded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.load.chat_stream import CHAT, Tokens, Words
from benchmarks.load.prompts import Messages


@dataclass(frozen=True, slots=True)
class Dialect:
    """A protocol.

    Attributes:
        name: In tables.
        words: Of its streams.
        body: The request for a greedy answer of so many tokens at most to a conversation.
    """

    name: str
    words: Words
    body: Callable[[str, Messages, int], Mapping[str, Any]]


def _chat(model: str, messages: Messages, num_tokens: int) -> Mapping[str, Any]:
    options = {"include_usage": True}
    common = {"model": model, "messages": messages, "stream": True, "temperature": 0}
    return {**common, "max_tokens": num_tokens, "stream_options": options}


def _responses(model: str, messages: Messages, num_tokens: int) -> Mapping[str, Any]:
    # A response that is stored is written to the disk as well; that is not what is compared here.
    common = {"model": model, "input": messages, "stream": True, "temperature": 0}
    return {**common, "max_output_tokens": num_tokens, "store": False}


def _messages(model: str, messages: Messages, num_tokens: int) -> Mapping[str, Any]:
    system, *turns = messages
    common = {"model": model, "messages": turns, "stream": True, "temperature": 0}
    return {**common, "max_tokens": num_tokens, "system": system["content"]}


def _ollama(model: str, messages: Messages, num_tokens: int) -> Mapping[str, Any]:
    return {"model": model, "messages": messages, "options": {"temperature": 0, "num_predict": num_tokens}}


def _text_of_response(event: Any) -> str:
    return event["delta"] if event["type"] == "response.output_text.delta" else ""


def _tokens_of_response(event: Any) -> Tokens | None:
    usage = event.get("response", {}).get("usage")
    return usage and (usage["input_tokens"], usage["output_tokens"])


def _text_of_message(event: Any) -> str:
    text: str = event.get("delta", {}).get("text", "")
    return text


def _tokens_of_message(event: Any) -> Tokens | None:
    usage = event.get("usage") if event["type"] == "message_delta" else None
    return usage and (usage["input_tokens"], usage["output_tokens"])


def _text_of_line(line: Any) -> str:
    text: str = line["message"]["content"]
    return text


def _tokens_of_line(line: Any) -> Tokens | None:
    return (line["prompt_eval_count"], line["eval_count"]) if line["done"] else None


DIALECTS = (
    Dialect("chat completions", CHAT, _chat),
    Dialect("Responses", Words("/v1/responses", _text_of_response, _tokens_of_response), _responses),
    Dialect("Messages", Words("/v1/messages", _text_of_message, _tokens_of_message), _messages),
    Dialect("Ollama", Words("/api/chat", _text_of_line, _tokens_of_line), _ollama),
)
"""The first is what the others are compared with."""
