"""JSON Schemas of the protocols' objects, made at run time from the models that the official Python SDKs publish."""

import functools
import importlib.metadata
import typing
from typing import Any

import anthropic.types
import ollama
import openai.types.chat
import openai.types.responses
from jsonschema import Draft202012Validator
from pydantic import BaseModel, TypeAdapter

VERSIONS = ", ".join(f"{name}-python {importlib.metadata.version(name)}" for name in ("openai", "anthropic", "ollama"))

MODELS: dict[str, Any] = {
    "chat.completion": openai.types.chat.ChatCompletion,
    "chat.completion.chunk": openai.types.chat.ChatCompletionChunk,
    "text_completion": openai.types.Completion,
    "embeddings": openai.types.CreateEmbeddingResponse,
    "model": openai.types.Model,
    "error": openai.types.ErrorObject,
    "response": openai.types.responses.Response,
    "message": anthropic.types.Message,
    "token count": anthropic.types.MessageTokensCount,
    "message error": anthropic.types.ErrorResponse,
    "chat": ollama.ChatResponse,
    "generate": ollama.GenerateResponse,
    "tags": ollama.ListResponse,
    "ps": ollama.ProcessResponse,
    "show": ollama.ShowResponse,
    "embed": ollama.EmbedResponse,
    "embedding": ollama.EmbeddingsResponse,
}

EVENTS: dict[str, Any] = {
    "response event": openai.types.responses.ResponseStreamEvent,
    "message event": anthropic.types.RawMessageStreamEvent,
}
"""Unions of which each member has a `type` of its own."""


@functools.cache
def validator(name: str) -> Draft202012Validator:
    """The validator of an object."""
    schema = TypeAdapter(MODELS[name]).json_schema()
    _as_sent(schema, name)
    return Draft202012Validator(schema)


@functools.cache
def _event_validators(name: str) -> dict[str, Draft202012Validator]:
    (union, *_) = typing.get_args(EVENTS[name])
    found: dict[str, Draft202012Validator] = {}
    for member in typing.get_args(union):
        kind = _type_of(member)
        found[kind] = Draft202012Validator(TypeAdapter(member).json_schema())
    return found


def _type_of(member: type[BaseModel]) -> str:
    (kind,) = typing.get_args(member.model_fields["type"].annotation)
    return str(kind)


def violations(name: str, value: Any) -> list[str]:
    """Where a value is not what the SDK's model says, as sentences."""
    return _named(name, validator(name), value)


def event_violations(name: str, value: Any) -> list[str]:
    """The same for an event of a stream, by its `type`."""
    kind = value.get("type") if isinstance(value, dict) else None
    known = _event_validators(name).get(str(kind))
    return [f"the SDK knows no {name} {kind!r}"] if known is None else _named(str(kind), known, value)


def _named(name: str, known: Draft202012Validator, value: Any) -> list[str]:
    found = sorted(known.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path])
    return [f"{name}{_path(error.absolute_path)}: {error.message[:200]}" for error in found]


def _path(parts: Any) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _as_sent(schema: dict[str, Any], name: str) -> None:
    # The SDK decodes base64 before it builds its model, and writes the chunks of text completions with the model of
    # whole ones: there a finish reason is null until the end.
    if name == "embeddings":
        numbers = schema["$defs"]["Embedding"]["properties"]["embedding"]
        schema["$defs"]["Embedding"]["properties"]["embedding"] = {"anyOf": [numbers, {"type": "string"}]}
    if name == "text_completion":
        reason = schema["$defs"]["CompletionChoice"]["properties"]["finish_reason"]
        schema["$defs"]["CompletionChoice"]["properties"]["finish_reason"] = {"anyOf": [reason, {"type": "null"}]}
