"""Many clients at once, each asking for one thing after the other in every dialect, well and badly, with a tally."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

LIMIT_S = 600.0
"""Nobody waits as long; a client that does has found a hang."""

EXCHANGED = "was exchanged for another"
"""What an answer says in every dialect that a load did not want to wait for any longer."""

KEPT_S = 2.0
"""A connection that nobody has used for longer is not used again: the server is about to close it."""


@dataclass(frozen=True)
class Sizes:
    """How much is asked for: words of usual, long and impossible prompts, and tokens of answers.

    `pause_s` is how long a client stays away that found the queue full.
    """

    words: int
    long_words: int
    too_many_words: int
    max_tokens: int
    pause_s: float


@dataclass(frozen=True)
class Dialect:
    """A path, the body of a request for a text, and what the last lines of a whole stream hold."""

    path: str
    body: Callable[[str, int], dict[str, Any]]
    last: tuple[str, ...]


def _chat(text: str, max_tokens: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": max_tokens}


DIALECTS = (
    Dialect("/v1/chat/completions", _chat, ("data: [DONE]",)),
    Dialect("/v1/messages", lambda text, most: {"model": "any", **_chat(text, most)}, ('"type":"message_stop"',)),
    Dialect(
        "/v1/completions", lambda text, most: {"prompt": text, "max_tokens": most, "temperature": 0}, ("data: [DONE]",)
    ),
    Dialect(
        "/v1/responses",
        lambda text, most: {"input": text, "max_output_tokens": most, "store": False},
        ("event: response.completed", "event: response.incomplete"),
    ),
    Dialect(
        "/api/chat",
        lambda text, most: {
            "model": "any",
            "messages": [{"role": "user", "content": text}],
            "options": {"num_predict": most},
        },
        ('"done":true',),
    ),
)

BAD_BODIES: tuple[tuple[bytes, int], ...] = (
    (b"{", 400),
    (b"[]", 400),
    (b'{"messages": []}', 400),
    (b'{"messages": [{"role": "user", "content": "Hi"}], "temperature": 9}', 400),
    (b'{"messages": [{"role": "nobody", "content": "Hi"}]}', 400),
)


@dataclass
class Tally:
    """What the clients saw.

    Attributes:
        answers: By route and status, whatever they held.
        errors: By code, of those that have one.
        sequences: Requests that the engine took.
        left: Of those, streams that a client left before their end.
        exchanged: Of those, answers that ended with an error because the next load did not wait any longer.
        texts: Texts that were embedded.
        longest_s: The longest that a client waited for anything.
        problems: Whatever should not be.
    """

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sequences: int = 0
    left: int = 0
    exchanged: int = 0
    texts: int = 0
    longest_s: float = 0.0
    problems: list[str] = field(default_factory=list)


class Client:
    """One of them.

    Args:
        chat: Address of the chat server.
        embed: Address of the embedding server.
        sizes: How much it asks for.
        tally: Kept by all together.
        seed: Of its choices.
    """

    def __init__(self, chat: str, embed: str, sizes: Sizes, tally: Tally, seed: int) -> None:
        limits = httpx.Limits(keepalive_expiry=KEPT_S)
        self._chat = httpx.AsyncClient(base_url=chat, timeout=LIMIT_S, limits=limits)
        self._embed = httpx.AsyncClient(base_url=embed, timeout=LIMIT_S, limits=limits)
        self._sizes = sizes
        self._tally = tally
        self._random = random.Random(seed)
        self._was_refused = False

    async def run(self, goes_on: Callable[[], bool]) -> None:
        """Ask for one thing after the other."""
        things: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.stream, 5),
            (self.leave, 3),
            (self.whole, 4),
            (self.long_prompt, 1),
            (self.too_long, 1),
            (self.bad_body, 2),
            (self.nowhere, 1),
            (self.embed, 3),
            (self.tokenize, 1),
        ]
        kinds, weights = zip(*things, strict=True)
        async with self._chat, self._embed:
            while goes_on():
                if self._was_refused:
                    await asyncio.sleep(self._sizes.pause_s)
                self._was_refused = False
                (thing,) = self._random.choices(kinds, weights)
                begun_s = time.monotonic()
                try:
                    async with asyncio.timeout(LIMIT_S):
                        await thing()
                except Exception as error:  # noqa: BLE001  # counted, and told at the end
                    self._tally.problems.append(f"{thing.__name__}: {type(error).__name__} {error}")
                self._tally.longest_s = max(self._tally.longest_s, time.monotonic() - begun_s)

    async def stream(self) -> None:
        """Read a stream to its end."""
        await self._stream(self._random.choice(DIALECTS), None)

    async def leave(self) -> None:
        """Leave a stream after some lines of it."""
        await self._stream(self._random.choice(DIALECTS), self._random.randint(1, 12))

    async def whole(self) -> None:
        """An answer in one piece."""
        dialect = self._random.choice(DIALECTS)
        await self._ask(dialect, self._text(self._sizes.words), {200, 429, 503})

    async def long_prompt(self) -> None:
        """A prompt that takes a while to read."""
        await self._ask(DIALECTS[0], self._text(self._sizes.long_words), {200, 429, 503})

    async def too_long(self) -> None:
        """A prompt that cannot fit. A full queue is found first: then nobody reads it."""
        await self._ask(DIALECTS[0], self._text(self._sizes.too_many_words), {400, 429})

    async def bad_body(self) -> None:
        """What is refused before anything is computed."""
        content, status = self._random.choice(BAD_BODIES)
        headers = {"content-type": "application/json"}
        answer = await self._chat.post("/v1/chat/completions", content=content, headers=headers)
        self._take("/v1/chat/completions", answer, {status})

    async def nowhere(self) -> None:
        """A path that is not there."""
        self._take("none", await self._chat.get("/v1/nowhere"), {404})

    async def tokenize(self) -> None:
        """What a prompt costs."""
        body = {"messages": [{"role": "user", "content": self._text(self._sizes.words)}]}
        self._take("/v1/tokenize", await self._chat.post("/v1/tokenize", json=body), {200})

    async def embed(self) -> None:
        """Some vectors."""
        texts = [f"w{self._random.randint(1, 6)}" for _ in range(self._random.randint(1, 8))]
        answer = await self._embed.post("/v1/embeddings", json={"input": texts})
        self._take("/v1/embeddings", answer, {200, 429})
        self._tally.texts += len(texts) * (answer.status_code == 200)

    async def _ask(self, dialect: Dialect, text: str, expected: set[int]) -> None:
        body = dialect.body(text, self._max_tokens()) | {"stream": False}
        answer = await self._chat.post(dialect.path, json=body)
        self._take(dialect.path, answer, expected)
        self._tally.sequences += answer.status_code == 200
        self._count_exchanged(answer)

    async def _stream(self, dialect: Dialect, leave_after: int | None) -> None:
        body = dialect.body(self._text(self._sizes.words), self._max_tokens()) | {"stream": True}
        lines: list[str] = []
        async with self._chat.stream("POST", dialect.path, json=body) as answer:
            if answer.status_code != 200:
                await answer.aread()
                self._take(dialect.path, answer, {429, 503})
                self._count_exchanged(answer)
                return
            self._tally.answers[dialect.path, 200] += 1
            self._tally.sequences += 1
            async for line in answer.aiter_lines():
                lines += [line] if line else []
                if leave_after is not None and len(lines) > leave_after:
                    self._tally.left += 1
                    return
        if any(EXCHANGED in line for line in lines[-3:]):
            self._tally.exchanged += 1
        elif not any(mark in line for mark in dialect.last for line in lines[-3:]):
            self._tally.problems.append(f"{dialect.path}: a stream ends with {lines[-3:]}")

    def _count_exchanged(self, answer: httpx.Response) -> None:
        """A 503 is the end of an answer, or of an engine before the answer had begun."""
        if answer.status_code != 503:
            return
        if EXCHANGED in answer.text:
            self._tally.sequences += 1
            self._tally.exchanged += 1
        elif "The engine is closed" not in answer.text:
            self._tally.problems.append(f"503 {answer.text[:300]}")

    def _take(self, route: str, answer: httpx.Response, expected: set[int]) -> None:
        self._tally.answers[route, answer.status_code] += 1
        self._was_refused = answer.status_code == 429
        if answer.status_code not in expected:
            self._tally.problems.append(f"{route}: {answer.status_code} {answer.text[:300]}")
        if answer.status_code >= 400:
            error = json.loads(answer.text)["error"]
            # Anthropic's and Ollama's errors have no code.
            code = error.get("code") if isinstance(error, dict) else None
            if code is not None:
                self._tally.errors[code] += 1

    def _text(self, num_words: int) -> str:
        return " ".join(f"{self._random.choice('abcdefgh')}{self._random.randint(0, 99)}" for _ in range(num_words))

    def _max_tokens(self) -> int:
        return self._random.randint(1, self._sizes.max_tokens)


async def exchange(chat: str, models: tuple[str, str], tally: Tally, goes_on: Callable[[], bool]) -> None:
    """Load one model after the other while the clients ask."""
    async with httpx.AsyncClient(base_url=chat, timeout=LIMIT_S) as client:
        turn = 0
        while goes_on():
            turn += 1
            answer = await client.post("/api/models/load", json={"alias": models[turn % 2]})
            tally.answers["/api/models/load", answer.status_code] += 1
            if answer.status_code != 200:
                tally.problems.append(f"load: {answer.status_code} {answer.text[:300]}")
            await asyncio.sleep(1)
