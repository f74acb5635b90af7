"""What is said stands in the log where the operator asks for it, and nowhere else."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from support import asgi
from support.chat_app import ServedChat, make_model, serving

from obeaver.models.store import Store
from obeaver.web.content_log import MOST_BYTES, ContentLog
from obeaver.web.types import Receive, Scope, Send

CHAT, KEY, WORD = "/v1/chat/completions", "the-key-4711", "Zwetschgendatschi"


@pytest.fixture
def home(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Path:
    caplog.set_level(logging.DEBUG)
    make_model(Store(tmp_path), "small", context=1024)
    return tmp_path


async def talk(served: ServedChat) -> list[str]:
    """Ask for a whole answer, for a stream and for what is refused; the answers' bodies."""

    async def ask(key: str = KEY, **parameters: Any) -> str:
        body = {"messages": [{"role": "user", "content": WORD}], "max_tokens": 20, "ignore_eos": True} | parameters
        headers = {"authorization": f"Bearer {key}"}
        return (await asgi.request(served.app, "POST", CHAT, data=body, headers=headers)).body.decode()

    return [
        await ask(),
        await ask(stream=True),
        await ask(stop=1),
        await ask("a-wrong-key"),
        await ask(regex=WORD + "("),
    ]


async def test_nothing_that_is_said_is_logged_unasked(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(home, "small", api_key=(KEY,)) as served:
        whole, *_ = await talk(served)
    assert f'"POST {CHAT}" 200' in caplog.text
    assert WORD not in caplog.text
    assert json.loads(whole)["choices"][0]["message"]["content"] not in caplog.text
    assert KEY not in caplog.text


async def test_everything_but_keys_is_logged_when_asked(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(home, "small", api_key=(KEY,), log_prompts=True) as served:
        answers = await talk(served)
    lines = [record.getMessage() for record in caplog.records if record.name == "obeaver.content"]
    asked, answered = lines[::2], lines[1::2]
    assert len(asked) == len(answered) == len(answers)
    # Of who has no key, nothing is read.
    assert [WORD in line for line in asked] == [True, True, True, False, True]
    for line, answer in zip(answered, answers, strict=True):
        assert line.endswith(f" was answered {json.dumps(answer, ensure_ascii=False)}")
    assert KEY not in caplog.text


async def test_a_long_body_is_cut_and_takes_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    caplog.set_level(logging.INFO)
    reply = await asgi.request(ContentLog(app), "POST", "/", body=b"a\n" * MOST_BYTES)
    assert len(reply.body) == 2 * MOST_BYTES
    for record in caplog.records:
        assert record.getMessage().endswith(f'a\\n" and {MOST_BYTES} bytes more')
        assert "\n" not in record.getMessage()
