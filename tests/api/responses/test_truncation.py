"""`truncation: "auto"`: what goes of a conversation that is too long, what never does, and that it is said."""

from typing import Any

import pytest
from support import asgi
from support.event_stream import read_json_events
from support.scripted_model import CONTEXT_LENGTH, ids_of

from obeaver.api.responses.items import parse_items
from obeaver.api.responses.truncation import shorter_conversations
from obeaver.archive.archive import Archive
from obeaver.archive.stored_response import StoredItem
from obeaver.archive.stored_responses import Limits

PATH = "/v1/responses"


def items(letters: str) -> list[StoredItem]:
    """A conversation: system and developer, a user and an assistant, calls and their outputs, reasoning, by letter."""
    roles = {"s": "system", "d": "developer", "u": "user", "a": "assistant"}
    given: list[dict[str, Any]] = []
    for place, letter in enumerate(letters):
        if letter in roles:
            given.append({"type": "message", "role": roles[letter], "content": f"{letter}{place}"})
        elif letter == "c":
            given.append({"type": "function_call", "call_id": "c", "name": f"c{place}", "arguments": "{}"})
        elif letter == "r":
            given.append({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]})
        else:
            given.append({"type": "function_call_output", "call_id": "c", "output": f"o{place}"})
    return [
        StoredItem(f"{letter}{place}", item)
        for place, (letter, item) in enumerate(zip(letters, parse_items(given), strict=True))
    ]


@pytest.mark.parametrize(
    ("conversation", "shorter"),
    [
        ("u", []),
        ("au", ["u1"]),
        ("uaua", ["u2 a3"]),
        ("suaudau", ["s0 u3 d4 a5 u6", "s0 d4 u6"]),
        ("uacou", ["u4"]),
        # In the last turn the oldest calls go, with what they gave.
        ("ucococo", ["u0 c3 o4 c5 o6", "u0 c5 o6"]),
        ("uauccoorco", ["u2 c3 c4 o5 o6 r7 c8 o9", "u2 r7 c8 o9"]),
        ("uscodco", ["u0 s1 d4 c5 o6"]),
        ("aco", []),
        ("uu", ["u1"]),
    ],
)
def test_whole_turns_go_and_then_the_oldest_calls(conversation: str, shorter: list[str]) -> None:
    found = shorter_conversations(items(conversation))
    assert [" ".join(item.id for item in left) for left in found] == shorter


def words(number: int) -> str:
    return f"<{number}>" + "x" * 600


async def ask(served: Any, num_turns: int, **parameters: Any) -> asgi.Reply:
    turns = [{"role": ("user", "assistant")[number % 2], "content": words(number)} for number in range(num_turns)]
    given = [{"role": "developer", "content": "Be brief."}, *turns]
    body = {"input": given, "instructions": "Be kind.", "temperature": 0, "max_output_tokens": 200} | parameters
    reply: asgi.Reply = await served.post(PATH, **body)
    return reply


@pytest.mark.parametrize("stream", [False, True])
async def test_the_oldest_turns_go_until_the_answer_has_room_and_it_is_said(serve: Any, stream: bool) -> None:
    prompts: list[str] = []

    def reply(prompt: str) -> list[int]:
        prompts.append(prompt)
        return ids_of("Yes.")

    async with serve(reply) as served:
        assert (await ask(served, 11)).error["code"] == "context_length_exceeded"
        assert (await ask(served, 11, truncation="disabled")).status == 400
        answered = await ask(served, 11, truncation="auto", stream=stream)
        short = (await ask(served, 5, truncation="auto")).json()
        plain = (await ask(served, 5)).json()
    assert answered.status == 200
    told = [event["response"] for event in read_json_events(answered.body, named=True) if "response" in event]
    response = told[-1] if stream else answered.json()
    assert all(other["dropped_items"] == 6 for other in told)
    assert (response["truncation"], response["dropped_items"]) == ("auto", 6)
    assert response["output"][0]["content"][0]["text"] == "Yes."
    assert [number for number in range(11) if f"<{number}>" in prompts[0]] == [6, 7, 8, 9, 10]
    assert "Be kind." in prompts[0]
    assert "Be brief." in prompts[0]
    assert response["usage"]["input_tokens"] <= CONTEXT_LENGTH - 200
    assert short["dropped_items"] == 0
    assert (plain["truncation"], "dropped_items" in plain) == ("disabled", False)
    assert len(prompts) == 3


async def test_the_answer_may_ask_for_a_quarter_of_the_context(serve: Any) -> None:
    async with serve() as served:
        dropped = [
            (await ask(served, 7, truncation="auto", max_output_tokens=limit)).json()["dropped_items"]
            for limit in (1, CONTEXT_LENGTH // 4, CONTEXT_LENGTH)
        ]
    assert dropped == [2, 4, 4]


async def test_what_cannot_be_shorter_is_refused(serve: Any) -> None:
    async with serve() as served:
        reply = await served.post(PATH, input="x" * CONTEXT_LENGTH, truncation="auto")
        longer = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "x" * CONTEXT_LENGTH}]
        also = await served.post(PATH, input=longer, truncation="auto")
    for refused in (reply, also):
        assert (refused.status, refused.error["code"], refused.error["param"]) == (
            400,
            "context_length_exceeded",
            "input",
        )


async def test_what_the_model_was_not_given_stays_stored(serve: Any, tmp_path: Any) -> None:
    archive = Archive(tmp_path / "home" / "responses" / "responses.sqlite3", Limits(10_000_000, 0))
    async with serve(archive=archive) as served:
        made = (await ask(served, 11, truncation="auto")).json()
        kept = (await served.get(f"{PATH}/{made['id']}/input_items?limit=100")).json()["data"]
        more = await served.post(PATH, input="And?", previous_response_id=made["id"], truncation="auto")
        refused = await served.post(PATH, input="And?", previous_response_id=made["id"])
    assert len(kept) == 12
    assert more.json()["dropped_items"] > 6
    assert refused.error["code"] == "context_length_exceeded"
