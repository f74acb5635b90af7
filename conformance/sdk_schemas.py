"""JSON Schemas of OpenAI's objects, made at run time from the models that the official Python SDK publishes."""

import functools
from typing import Any

import openai
from jsonschema import Draft202012Validator
from openai.types import Completion, CreateEmbeddingResponse, ErrorObject, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

VERSION: str = openai.__version__

MODELS: dict[str, type] = {
    "chat.completion": ChatCompletion,
    "chat.completion.chunk": ChatCompletionChunk,
    "text_completion": Completion,
    "embeddings": CreateEmbeddingResponse,
    "model": Model,
    "error": ErrorObject,
}


@functools.cache
def validator(name: str) -> Draft202012Validator:
    """The validator of an object of OpenAI's."""
    schema = TypeAdapter(MODELS[name]).json_schema()
    _as_sent(schema, name)
    return Draft202012Validator(schema)


def violations(name: str, value: Any) -> list[str]:
    """Where a value is not what the SDK's model says, as sentences."""
    found = sorted(validator(name).iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path])
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
