"""Defects of Ollama's protocol."""

from collections.abc import Callable, Sequence
from typing import Any

from conformance.dialects.ollama.lines import DURATIONS
from conformance.mutants.breaking import Break, in_bytes, in_headers, in_json, in_lines, swap, with_status, without


def _texts(lines: Sequence[Any]) -> list[int]:
    return [number for number, line in enumerate(lines) if line.get("message", {}).get("content")]


def _each(change: Callable[[int, dict[str, Any]], object]) -> Break:
    def apply(lines: list[Any]) -> None:
        for number, line in enumerate(lines):
            change(number, line)

    return in_lines(apply)


def _leak_stop(lines: list[Any]) -> None:
    lines[_texts(lines)[-1]]["message"]["content"] += "ta gam"


def _replacement_characters(_number: int, line: dict[str, Any]) -> None:
    line["message"]["content"] = line["message"]["content"].replace("🦫", "\ufffd\ufffd")


def _models(change: Callable[[dict[str, Any]], object]) -> Break:
    def apply(value: Any) -> None:
        for model in value.get("models", []):
            change(model)

    return in_json(apply)


def _in_seconds(value: dict[str, Any]) -> None:
    value.update({name: value[name] // 10**9 for name in DURATIONS})


def _longer(vector: list[float]) -> list[float]:
    return [2 * number for number in vector]


DEFECTS: dict[str, Break] = {
    "lines-not-ended": in_lines(lambda lines: lines[:-1]),
    "lines-done-early": _each(lambda _, line: line.update(done=True)),
    "lines-go-on": in_lines(lambda lines: [*lines, lines[0]]),
    "lines-lost": in_lines(lambda lines: lines.pop(_texts(lines)[1]) and None),
    "lines-swapped": in_lines(lambda lines: swap(lines, _texts(lines))),
    "lines-as-events": in_headers(content_type="text/event-stream"),
    "lines-cut-short": in_bytes(rb"\}\n", b"\n", times=1),
    "lines-last-one-open": in_bytes(rb"\n\Z", b"", times=1),
    "lines-with-data": in_bytes(rb"(?m)^\{", b"data: {"),
    "lines-of-windows": in_bytes(rb"\n", b"\r\n"),
    "lines-replacement-character": _each(_replacement_characters),
    "lines-stop-string-leaks": in_lines(_leak_stop),
    "lines-role-of-a-user": _each(lambda _, line: line["message"].update(role="user")),
    "lines-without-figures": in_lines(lambda lines: without(["eval_count", "total_duration"])(lines[-1])),
    "chat-durations-in-seconds": in_json(_in_seconds),
    "chat-durations-too-long": in_json(lambda value: value.update(eval_duration=value["total_duration"] * 2)),
    "chat-created-in-seconds": in_json(lambda value: value.update(created_at="1764412345")),
    "chat-of-another-model": in_json(lambda value: value.update(model="llama-99")),
    "chat-one-token-too-many": in_json(lambda value: value.update(eval_count=value["eval_count"] + 1)),
    "chat-reason-of-openai": in_json(lambda value: value.update(done_reason="eos")),
    "chat-cut-in-silence": in_json(lambda value: value.update(done_reason="stop")),
    "chat-off-schema": in_json(lambda value: value["message"].update(content='{"city": "Berlin"}')),
    "chat-whole-for-a-stream": in_headers(content_type="application/json"),
    "tags-without-a-tag": _models(lambda model: model.update(model=model["model"].partition(":")[0])),
    "tags-without-a-digest": _models(lambda model: model.update(digest="latest")),
    "tags-with-a-size-of-words": _models(lambda model: model.update(size="98 MB")),
    "tags-without-the-model": in_json(lambda value: value.update(models=[]) if "models" in value else None),
    "show-without-capabilities": in_json(without(["capabilities"])),
    "version-without-a-version": in_json(lambda value: value.pop("version")),
    "embed-too-long": in_json(lambda v: v.update(embeddings=[_longer(vector) for vector in v["embeddings"]])),
    "embed-reversed": in_json(lambda value: value["embeddings"].reverse()),
    "embed-missing": in_json(lambda value: value["embeddings"].pop() and None),
    "embed-without-a-count": in_json(without(["prompt_eval_count"])),
    "embedding-empty": in_json(lambda value: value.update(embedding=[])),
    "ollama-error-of-openai": in_json(lambda value: value.update(error={"message": value["error"]})),
    "ollama-ok-for-an-error": with_status(200),
}
