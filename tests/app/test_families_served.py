"""An int8 import of every family, as `serve` serves it: the same answer alone and in a crowd, to the bit."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reference.tiny_gguf import DENSE, MIXTURES, TinyGguf
from support import asgi
from support.chat_app import ServedChat, serving

from obeaver.models.gguf.importer import import_gguf
from obeaver.models.progress import SilentProgress

SMALL = TinyGguf(hidden=128, ffn=96, head_dim=32, context=128)
MODELS = {
    **{name: replace(SMALL, architecture=name) for name in DENSE},
    **{f"{name}-experts": replace(SMALL, architecture=name, experts=5) for name in MIXTURES},
}
PROMPTS = ("the", "Beavers build dams, and they", "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "?")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An import of each family."""
    place = tmp_path_factory.mktemp("families")
    made = []
    for name, tiny in MODELS.items():
        (folder := place / name).mkdir()
        source = tiny.write(place / f"{name}.gguf")
        import_gguf(source, folder, weights="int8", kv="int8", name=name, progress=SilentProgress())
        made.append(folder)
    return made


@pytest.fixture
async def served(tmp_path: Path, folders: list[Path]) -> AsyncIterator[ServedChat]:
    """All of them in one server."""
    async with serving(tmp_path / "home", *folders) as running:
        yield running


async def completion(served: ServedChat, model: str, prompt: str) -> Any:
    """Text, tokens and log-probabilities of one answer."""
    body = {"model": model, "prompt": prompt, "max_tokens": 6, "temperature": 0, "logprobs": 3, "ignore_eos": True}
    reply = await asgi.request(served.app, "POST", "/v1/completions", data=body)
    assert reply.status == 200, reply.body
    answer = reply.json()
    assert (answer["model"], answer["usage"]["completion_tokens"]) == (model, 6)
    return answer["choices"]


async def test_an_answer_is_the_same_to_the_bit_alone_and_in_a_crowd(served: ServedChat) -> None:
    for name in MODELS:
        alone = [await completion(served, name, prompt) for prompt in PROMPTS]
        together = await asyncio.gather(*(completion(served, name, prompt) for prompt in reversed(PROMPTS)))
        assert together[::-1] == alone, name
