"""Conversations told anew, for chat templates that know less than the API: nothing of them is lost.

Messages here are what templates get: a role, `content` as one string, `reasoning_content`, `tool_calls` with arguments
as objects, `tool_call_id` and `name`. Every function takes messages and gives new ones.
"""

import hashlib
import json
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

Message: TypeAlias = Mapping[str, Any]
Messages: TypeAlias = Sequence[Message]

PARAGRAPH: Final = "\n\n"
"""Stands between two messages that are told as one."""
SHORT_ID_LENGTH: Final = 9
EMPTY_ANSWER: Final = " "
"""Some templates reject an answer without a character."""

_SHORT_ID_LETTERS: Final = string.ascii_letters + string.digits


def one_system_message(messages: Messages) -> Messages:
    """System messages at the beginning become one."""
    system, others = _leading_system(messages)
    return [{**system[0], "content": _joined(system)}, *others] if len(system) > 1 else messages


def system_within_user(messages: Messages) -> Messages:
    """System messages at the beginning stand at the head of the user's first message, or are one."""
    system, others = _leading_system(messages)
    if not system:
        return messages
    told = {"role": "user", "content": _joined(system)}
    if others and others[0]["role"] == "user":
        return [_merged(told, others[0]), *others[1:]]
    return [told, *others]


def system_within_user_of_loop(messages: Messages) -> Messages:
    """While results come in, system messages at the beginning stand at the head of the user's last message."""
    system, others = _leading_system(messages)
    asked = next((n for n in reversed(range(len(others))) if others[n]["role"] == "user"), None)
    if not system or asked is None or others[-1]["role"] != "tool":
        return messages
    told = {"role": "user", "content": _joined(system)}
    return [*others[:asked], _merged(told, others[asked]), *others[asked + 1 :]]


def system_as_user(messages: Messages) -> Messages:
    """Where the user says nothing at all, the last of the system messages at the beginning is the user's."""
    system, others = _leading_system(messages)
    if not system or any(message["role"] == "user" for message in others):
        return messages
    return [*system[:-1], {**system[-1], "role": "user"}, *others]


def later_system_as_user(messages: Messages) -> Messages:
    """System messages that follow others are the user's, where they stand: what they ask for holds from there on."""
    system, others = _leading_system(messages)
    return [*system, *({**message, "role": _USER_FOR.get(message["role"], message["role"])} for message in others)]


_USER_FOR: Final[Mapping[str, str]] = {"system": "user"}


def taking_turns(messages: Messages) -> Messages:
    """User and assistant take turns: neighbours become one message, and the user begins."""
    told: list[Message] = []
    for message in messages:
        if told and _can_merge(told[-1], message):
            told[-1] = _merged(told[-1], message)
        else:
            told.append(message)
    system, others = _leading_system(told)
    begins = others[0]["role"] if others else "user"
    return told if begins == "user" else [*system, {"role": "user", "content": ""}, *others]


def answered_results(messages: Messages) -> Messages:
    """Between results and what the user says next stands an answer, an empty one if need be."""
    told: list[Message] = []
    for message in messages:
        if told and told[-1]["role"] == "tool" and message["role"] == "user":
            told.append({"role": "assistant", "content": EMPTY_ANSWER})
        told.append(message)
    return told


def one_call_a_turn(messages: Messages) -> Messages:
    """A turn with several calls becomes several turns, each followed by its result."""
    told: list[Message] = []
    rest = list(messages)
    while rest:
        message = rest.pop(0)
        if len(message.get("tool_calls") or ()) < 2:
            told.append(message)
            continue
        num_results = next((n for n, other in enumerate(rest) if other["role"] != "tool"), len(rest))
        results, rest = rest[:num_results], rest[num_results:]
        told += _one_by_one(message, results)
    return told


def _one_by_one(message: Message, results: list[Message]) -> list[Message]:
    first, *others = message["tool_calls"]
    # What was thought and said came before the first call.
    bare = {"role": message["role"], "content": ""}
    turns: list[Message] = [{**message, "tool_calls": [first]}, *({**bare, "tool_calls": [call]} for call in others)]
    told: list[Message] = []
    for turn in turns:
        place = _place_of_result(turn["tool_calls"][0], results)
        told += [turn] if place is None else [turn, results.pop(place)]
    return told + results


def _place_of_result(call: Message, results: Messages) -> int | None:
    return next((place for place, result in enumerate(results) if result["tool_call_id"] == call.get("id")), None)


def reasoning_named(name: str) -> Callable[[Messages], Messages]:
    """What an assistant thought goes by this name."""

    def retell(messages: Messages) -> Messages:
        return [_renamed(message, "reasoning_content", name) for message in messages]

    return retell


def _renamed(message: Message, old: str, new: str) -> Message:
    return {new if key == old else key: value for key, value in message.items()}


def reasoning_as_part(messages: Messages) -> Messages:
    """What an assistant thought is a part of its content, of the type `thinking`."""
    return [_with_thinking_part(message) for message in messages]


def _with_thinking_part(message: Message) -> Message:
    thought = message.get("reasoning_content")
    if not thought:
        return message
    text = [{"type": "text", "text": message["content"]}] if message["content"] else []
    told = {**message, "content": [{"type": "thinking", "thinking": thought}, *text]}
    told.pop("reasoning_content")
    return told


def words_as_thought(messages: Messages) -> Messages:
    """What was said between a thought and calls is the end of the thought."""
    return [_words_as_thought(message) for message in messages]


def _words_as_thought(message: Message) -> Message:
    thought = message.get("reasoning_content")
    if not (thought and message["content"] and message.get("tool_calls")):
        return message
    return {**message, "reasoning_content": thought + PARAGRAPH + message["content"], "content": ""}


def words_before_calls(messages: Messages) -> Messages:
    """What an assistant said beside its calls is a message of its own in front of them."""
    told: list[Message] = []
    for message in messages:
        if message.get("tool_calls") and message["content"]:
            told.append({key: value for key, value in message.items() if key != "tool_calls"})
            message = {**message, "content": ""}
            message.pop("reasoning_content", None)
        told.append(message)
    return told


def short_call_ids(messages: Messages) -> Messages:
    """Ids of nine letters and digits; others become such, the same one always the same."""
    return _with_ids(messages, lambda call, _place: _short_id(call["id"]))


def telling_call_ids(messages: Messages) -> Messages:
    """Ids that name the function and count the calls: `functions.NAME:0` and on."""
    return _with_ids(messages, lambda call, place: f"functions.{call['function']['name']}:{place}")


def _short_id(call_id: str) -> str:
    if len(call_id) == SHORT_ID_LENGTH and set(call_id) <= set(_SHORT_ID_LETTERS):
        return call_id
    number = int.from_bytes(hashlib.blake2b(call_id.encode(errors="replace"), digest_size=8).digest(), "big")
    letters = ""
    for _ in range(SHORT_ID_LENGTH):
        number, place = divmod(number, len(_SHORT_ID_LETTERS))
        letters += _SHORT_ID_LETTERS[place]
    return letters


def _with_ids(messages: Messages, new_id: Callable[[Message, int], str]) -> Messages:
    """Calls with other ids, and results with those of the calls that they answer."""
    told: list[Message] = []
    ids: dict[str, str] = {}
    num_calls = 0
    for message in messages:
        calls = []
        for call in message.get("tool_calls") or ():
            ids[call["id"]] = new_id(call, num_calls)
            calls.append({**call, "id": ids[call["id"]]})
            num_calls += 1
        if calls:
            message = {**message, "tool_calls": calls}
        elif message["role"] == "tool":
            given = message["tool_call_id"]
            message = {**message, "tool_call_id": ids.get(given) or _short_id(given)}
        told.append(message)
    return told


def results_within_calls(messages: Messages) -> Messages:
    """Results are `tool_responses` of the message that calls, and what is said next its content, if it has none."""
    told: list[Message] = []
    names: dict[str, str] = {}
    for message in messages:
        calling = told[-1] if told and told[-1].get("tool_calls") else None
        if calling is not None and message["role"] == "tool":
            name = names.get(message["tool_call_id"]) or message.get("name") or "unknown"
            response = {"name": name, "response": message["content"]}
            told[-1] = {**calling, "tool_responses": [*calling.get("tool_responses", ()), response]}
        elif calling is not None and _answers(message, calling):
            told[-1] = {**calling, "content": message["content"]}
        else:
            names = {call["id"]: call["function"]["name"] for call in message.get("tool_calls") or ()}
            told.append(message)
    return told


def _answers(message: Message, calling: Message) -> bool:
    is_answer = message["role"] == "assistant" and not message.get("tool_calls")
    return is_answer and bool(calling.get("tool_responses")) and not calling["content"]


def arguments_as_objects(messages: Messages) -> Messages:
    """Arguments that are no object, as a model got them wrong or a limit cut them, stand within one."""
    return _with_arguments(messages, lambda value: value if isinstance(value, Mapping) else {"arguments": value})


def arguments_as_text(messages: Messages) -> Messages:
    """Arguments are the JSON text of their object."""
    return _with_arguments(
        messages, lambda value: json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else value
    )


def content_as_parts(messages: Messages) -> Messages:
    """Content is a list of parts, of one where it is a text."""
    return [
        {**message, "content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message["content"], str)
        else message
        for message in messages
    ]


def _with_arguments(messages: Messages, change: Callable[[Any], Any]) -> Messages:
    return [
        {**message, "tool_calls": [_with_changed(call, change) for call in message["tool_calls"]]}
        if message.get("tool_calls")
        else message
        for message in messages
    ]


def _with_changed(call: Message, change: Callable[[Any], Any]) -> Message:
    return {**call, "function": {**call["function"], "arguments": change(call["function"]["arguments"])}}


def _leading_system(messages: Messages) -> tuple[Messages, Messages]:
    num_system = next((n for n, message in enumerate(messages) if message["role"] != "system"), len(messages))
    return messages[:num_system], messages[num_system:]


def _joined(messages: Messages) -> str:
    return PARAGRAPH.join(message["content"] for message in messages if message["content"])


def _can_merge(first: Message, second: Message) -> bool:
    return first["role"] == second["role"] and first["role"] in ("user", "assistant") and not first.get("tool_calls")


def _merged(first: Message, second: Message) -> Message:
    thoughts = [message["reasoning_content"] for message in (first, second) if message.get("reasoning_content")]
    merged = {**first, **second, "content": _joined([first, second])}
    return {**merged, "reasoning_content": PARAGRAPH.join(thoughts)} if thoughts else merged
