"""Clients that send bytes as they like: whole requests among them get their answers, and the rest harms nobody."""

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule, run_state_machine_as_test
from support.chat_app import make_model, serving
from support.raw_requests import ASKED, MALFORMED, MAX_BODY_BYTES, Asked, RawConnection
from support.server import serve

from obeaver.cli.http_protocol import HttpProtocol
from obeaver.models.store import Store

NUM_EXAMPLES: Final = int(os.environ.get("OBEAVER_FUZZ_EXAMPLES", "25"))
"""`make soak` tries more."""

PATIENCE_S: Final = 3600
"""Nothing here is about time."""

CUTS = st.lists(st.floats(0, 1), max_size=4)
CHUNKS = st.none() | st.integers(1, 40)
REQUESTS = st.sampled_from(ASKED)


def pieces(data: bytes, cuts: list[float]) -> Iterator[bytes]:
    """The same bytes, cut at these shares of their length."""
    places = [0, *sorted(int(cut * len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        yield data[start:end]


class Clients(RuleBasedStateMachine):
    """Connections on which all is well, and those on which half of a request was sent."""

    port: ClassVar[int]
    quiet = Bundle("quiet")
    halfway = Bundle("halfway")

    def __init__(self) -> None:
        super().__init__()
        self.connections: list[RawConnection] = []

    @rule(target=quiet)
    def connect(self) -> RawConnection:
        self.connections.append(RawConnection(self.port))
        return self.connections[-1]

    @rule(connection=quiet, asked=st.lists(REQUESTS, min_size=1, max_size=4), chunk=CHUNKS, cuts=CUTS)
    def ask(self, connection: RawConnection, asked: list[Asked], chunk: int | None, cuts: list[float]) -> None:
        for piece in pieces(b"".join(one.sent(chunk) for one in asked), cuts):
            connection.send(piece)
        for one in asked:
            expect(connection, one)

    @rule(target=halfway, connection=consumes(quiet), asked=REQUESTS, chunk=CHUNKS, cut=st.floats(0, 0.99))
    def begin(self, connection: RawConnection, asked: Asked, chunk: int | None, cut: float) -> Any:
        sent = asked.sent(chunk)
        end = int(cut * len(sent))
        connection.send(sent[:end])
        return connection, asked, sent[end:]

    @rule(target=quiet, begun=consumes(halfway))
    def go_on(self, begun: tuple[RawConnection, Asked, bytes]) -> RawConnection:
        connection, asked, rest = begun
        connection.send(rest)
        expect(connection, asked)
        return connection

    @rule(begun=consumes(halfway))
    def give_up(self, begun: tuple[RawConnection, Asked, bytes]) -> None:
        assert_no_failure(begun[0])

    @rule(begun=consumes(halfway))
    def leave(self, begun: tuple[RawConnection, Asked, bytes]) -> None:
        begun[0].reset()

    @rule(connection=consumes(quiet), asked=REQUESTS)
    def leave_before_the_answer(self, connection: RawConnection, asked: Asked) -> None:
        connection.send(asked.sent(None))
        connection.reset()

    @rule(connection=consumes(quiet), said=st.sampled_from(MALFORMED) | st.binary(min_size=1, max_size=200), cuts=CUTS)
    def talk_nonsense(self, connection: RawConnection, said: bytes, cuts: list[float]) -> None:
        self._say(connection, said, cuts)

    @rule(
        connection=consumes(quiet),
        asked=REQUESTS,
        chunk=CHUNKS,
        place=st.floats(0, 0.99),
        byte=st.integers(0, 255),
    )
    def slip(self, connection: RawConnection, asked: Asked, chunk: int | None, place: float, byte: int) -> None:
        said = bytearray(asked.sent(chunk))
        said[int(place * len(said))] = byte
        self._say(connection, bytes(said), [])

    def teardown(self) -> None:
        fresh = RawConnection(self.port)
        try:
            for asked in ASKED:
                fresh.send(asked.sent(None))
                expect(fresh, asked)
        finally:
            for connection in (fresh, *self.connections):
                connection.close()

    def _say(self, connection: RawConnection, said: bytes, cuts: list[float]) -> None:
        try:
            for piece in pieces(said, cuts):
                connection.send(piece)
        except ConnectionError:
            return  # it was understood to be nonsense before its end
        assert_no_failure(connection)


def expect(connection: RawConnection, asked: Asked) -> None:
    answer = connection.answer(asked.method)
    assert asked.is_answered_by(answer), (asked, answer)


def assert_no_failure(connection: RawConnection) -> None:
    assert [status for status in connection.statuses_to_the_end() if status >= 500] == []


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Where a server listens that runs in a thread of its own."""
    make_model(Store(tmp_path), "small", context=512)
    listens, ports = threading.Event(), list[int]()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        limits = HttpProtocol.with_limits(receive_timeout_s=PATIENCE_S, write_timeout_s=PATIENCE_S)
        async with (
            serving(tmp_path, "small", max_body_mb=MAX_BODY_BYTES / 1e6, receive_timeout_s=PATIENCE_S) as served,
            serve(served.app, limits, idle_timeout_s=PATIENCE_S) as port,
        ):
            ports.append(port)
            listens.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    listens.wait()
    yield ports[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def test_every_whole_request_is_answered_whatever_else_is_sent(port: int, caplog: pytest.LogCaptureFixture) -> None:
    few = settings(
        max_examples=NUM_EXAMPLES,
        stateful_step_count=20,
        deadline=None,
        derandomize=NUM_EXAMPLES < 100,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(type("ClientsOfThisServer", (Clients,), {"port": port}), settings=few)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
