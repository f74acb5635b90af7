"""Stalls of the event loop are seen and told."""

import asyncio
import logging
import time

import pytest

from obeaver.app.loop_lag import INTERVAL_S, WARN_S, watching_lag


async def test_a_loop_that_stood_still_is_measured_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    lags: list[float] = []
    stalled_s = WARN_S + 2 * INTERVAL_S
    async with watching_lag(lags.append):
        await asyncio.sleep(0)
        time.sleep(stalled_s)  # noqa: ASYNC251  # the stall itself
        async with asyncio.timeout(60):
            while not lags:  # noqa: ASYNC110  # nobody tells of it
                await asyncio.sleep(INTERVAL_S)
    assert max(lags) >= WARN_S
    assert [record.levelno for record in caplog.records if "stood still" in record.message] == [logging.WARNING]


async def test_the_watch_ends_with_its_block() -> None:
    before = asyncio.all_tasks()
    async with watching_lag(lambda _: None):
        assert len(asyncio.all_tasks()) == len(before) + 1
    assert asyncio.all_tasks() == before
