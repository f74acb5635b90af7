"""Objects of the Responses dialect, built from plain values: pure, no clock, no randomness."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from obeaver.api.contract.wire import Object
from obeaver.api.core.blocks import Block, BlockKind
from obeaver.api.core.head import Head
from obeaver.api.core.usage import Usage
from obeaver.errors import ApiError

Status: TypeAlias = Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]

ITEM_PREFIXES: Final[dict[BlockKind, str]] = {"reasoning": "rs_", "text": "msg_", "call": "fc_"}
"""What the ids of items begin with."""


def response(
    head: Head, echo: Object, status: Status, output: Sequence[Object], usage: Usage | None, error: ApiError | None
) -> Object:
    """A response as it stands.

    Args:
        head: Id, time and model.
        echo: What it says of its request.
        status: How it stands.
        output: Its items so far.
        usage: None until it has ended.
        error: Why it failed, if it did.
    """
    return {
        "id": head.id,
        "object": "response",
        "created_at": head.created,
        "status": status,
        "error": None if error is None else {"code": "server_error", "message": error.message},
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "model": head.model,
        "output": list(output),
        "usage": None if usage is None else _usage(usage),
        **echo,
    }


def _usage(usage: Usage) -> Object:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }


def item_id(head: Head, block: Block) -> str:
    """The id of a block's item: unique, since the response's is, and the same whenever it is asked for."""
    return f"{ITEM_PREFIXES[block.kind]}{head.id.partition('_')[2]}{block.index:04x}"


def item(head: Head, block: Block, text: str | None, status: Status) -> Object:
    """A block as an item; text None for one that has just begun, and has no content yet."""
    named = {"id": item_id(head, block), "type": "message", "status": status}
    content = [] if text is None else [part(block.kind, text)]
    match block.kind:
        case "call":
            call = {"call_id": block.call_id, "name": block.name, "arguments": text or ""}
            return named | {"type": "function_call"} | call
        case "reasoning":
            return named | {"type": "reasoning", "summary": [], "content": content}
    return named | {"role": "assistant", "content": content}


def part(kind: BlockKind, text: str) -> Object:
    """The one part of an item's content."""
    if kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
