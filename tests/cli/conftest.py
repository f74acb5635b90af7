"""Chats with a scripted model."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import terminal_chat
from support.scripted_model import Reply
from support.terminal_chat import StartTalk, Talk


@pytest.fixture
def start_talk(tmp_path: Path) -> Iterator[StartTalk]:
    """Starts a chat, see `support.terminal_chat.start_talk`; its engine ends with the test."""
    started: list[Talk] = []
    with asyncio.Runner() as runner:

        def start(reply: Reply, **options: Any) -> Talk:
            started.append(terminal_chat.start_talk(runner, tmp_path, reply, **options))
            return started[-1]

        yield start
        for talk in started:
            runner.run(talk.model.worker.close())
