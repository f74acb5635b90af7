"""One client, or one request, does not take everything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from support import asgi

from obeaver.errors import TimedOut, TooManyRequests
from obeaver.web.access import ApiKey
from obeaver.web.fairness import ClientLimit, Deadline
from obeaver.web.response import TextResponse
from obeaver.web.types import ASGIApp, Receive, Scope, Send


class Held:
    """An app whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            await self.go.wait()
        await TextResponse("done")(scope, receive, send)


async def post(app: ASGIApp, address: str = "10.0.0.1", key: str | None = None, method: str = "POST") -> asgi.Reply:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return await asgi.call(app, {**asgi.http_scope(method, "/", headers=headers), "client": (address, 1)})


@asynccontextmanager
async def two_open(app: ASGIApp, ask: Callable[[], Awaitable[asgi.Reply]], held: Held) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(ask()) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    yield
    held.go.set()
    for reply in await asyncio.gather(*tasks):
        assert reply.status == 200


async def test_a_client_with_too_many_open_requests_is_refused_until_one_has_ended() -> None:
    held = Held()
    app = ClientLimit(held, most=2)
    async with two_open(app, lambda: post(app), held):
        with pytest.raises(TooManyRequests) as refused:
            await post(app)
        assert refused.value.status == 429
        assert refused.value.headers["Retry-After"] == "1"
        assert (await post(app, method="GET")).status == 200
    assert (await post(app)).status == 200


async def test_others_are_not_refused_and_a_key_tells_clients_apart_behind_one_address() -> None:
    held = Held()
    app = ApiKey(ClientLimit(held, most=2), keys=["one", "two"])
    async with two_open(app, lambda: post(app, key="one"), held):
        with pytest.raises(TooManyRequests):
            await post(app, "10.0.0.2", key="one")
        held.go.set()
        assert (await post(app, key="two")).status == 200


async def test_where_no_key_is_asked_for_a_client_is_its_address_whatever_key_it_sends() -> None:
    held = Held()
    app = ClientLimit(held, most=2)
    keys = iter(["one", "two", "three"])
    async with two_open(app, lambda: post(app, key=next(keys)), held):
        with pytest.raises(TooManyRequests):
            await post(app, key=next(keys))
        held.go.set()
        assert (await post(app, "10.0.0.2", key="one")).status == 200


async def test_a_request_that_fails_counts_no_longer() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    app = ClientLimit(fails, most=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await post(app)


async def test_an_answer_that_takes_too_long_ends_with_an_error() -> None:
    with pytest.raises(TimedOut) as ended:
        await post(Deadline(Held(), limit_s=0.01))
    assert ended.value.status == 503


async def test_who_only_looks_and_who_loads_a_model_have_all_the_time() -> None:
    held = Held()
    app = Deadline(held, limit_s=0.01)
    assert (await post(app, method="GET")).status == 200
    loading = asyncio.ensure_future(asgi.call(app, asgi.http_scope("POST", "/api/models/load")))
    await asyncio.sleep(0.05)
    assert not loading.done()
    held.go.set()
    assert (await loading).status == 200


async def test_a_timeout_of_the_app_itself_is_the_apps() -> None:
    async def times_out(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await post(Deadline(times_out, limit_s=60))
