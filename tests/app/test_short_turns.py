"""Threads take short turns while a server lives, and no longer."""

import contextlib
import sys
from pathlib import Path

import pytest
from support.chat_app import make_model, serving

from obeaver.app.short_turns import TURN_S, short_turns
from obeaver.models.store import Store


def test_turns_are_short_until_the_block_ends_however_it_ends() -> None:
    before_s, turns_s = sys.getswitchinterval(), []
    with contextlib.suppress(KeyError), short_turns():
        turns_s.append(sys.getswitchinterval())
        raise KeyError
    assert turns_s == [pytest.approx(TURN_S)]
    assert sys.getswitchinterval() == pytest.approx(before_s)
    assert before_s > TURN_S


async def test_a_server_lives_in_short_turns(tmp_path: Path) -> None:
    model = make_model(Store(tmp_path / "home"), "model")
    async with serving(tmp_path / "home", model.folder):
        assert sys.getswitchinterval() == pytest.approx(TURN_S)
    assert sys.getswitchinterval() > TURN_S
