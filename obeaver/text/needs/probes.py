"""Small conversations, with words that a template has to show."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from obeaver.text.needs.need import Probe, Telling
from obeaver.text.needs.retelling import Message
from obeaver.text.needs.tool_prompt import whole

_ONE, _TWO, _THREE, _FOUR = "needleone", "needletwo", "needlethree", "needlefour"
_NAME: Final = "probefunction"
_ID, _OTHER_ID, _LONG_ID = "callabc01", "callabc02", "call_" + "0a1b2c3d" * 3


def _user(content: str = "x") -> Message:
    return {"role": "user", "content": content}


def _system(content: str) -> Message:
    return {"role": "system", "content": content}


def _says(content: str, thought: str = "", calls: Iterable[Message] = ()) -> Message:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if thought:
        message["reasoning_content"] = thought
    return {**message, "tool_calls": list(calls)} if calls else message


def _calls(arguments: object, call_id: str = _ID) -> Message:
    return _says("", calls=[_call(arguments, call_id)])


def _call(arguments: object, call_id: str = _ID) -> Message:
    return {"id": call_id, "type": "function", "function": {"name": _NAME, "arguments": arguments}}


def _result(content: str, call_id: str = _ID) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "name": _NAME, "content": content}


def _probe(
    *messages: Message, words: Sequence[str], tools: Sequence[Mapping[str, Any]] = (), unwanted: Sequence[str] = ()
) -> Probe:
    return Probe(Telling(messages, tools), tuple(words), tuple(unwanted))


_BARE_TOOL: Final = {"type": "function", "function": {"name": _NAME}}
_OBJECT: Final = {"key": _ONE}
_PLAIN: Final = {"key": "x"}

TOOLS: Final = _probe(_user(), words=[_NAME], tools=[whole(_BARE_TOOL)])
BARE_TOOLS: Final = _probe(_user(), words=[_NAME], tools=[_BARE_TOOL])
OBJECT_ARGUMENTS: Final = _probe(_user(), _calls(_OBJECT), words=[_ONE])
TEXT_ARGUMENTS: Final = _probe(_user(), _calls(json.dumps(_OBJECT)), words=[_ONE])
BROKEN_ARGUMENTS: Final = _probe(_user(), _calls(_ONE), words=[_ONE])
NAME: Final = _probe(_user(), _calls(_PLAIN), words=[_NAME])
RESULT: Final = _probe(_user(), _calls(_PLAIN), _result(_ONE), words=[_ONE])
# A template that prints a turn of any role prints one of the role `tool`, which its model need not know.
RESULT_IN_CALL: Final = _probe(_user(), _calls(_PLAIN), _result(_ONE), words=[_ONE], unwanted=[">tool"])
LONG_ID: Final = _probe(_user(), _calls(_OBJECT, _LONG_ID), _result(_TWO, _LONG_ID), words=[_ONE, _TWO])
TWO_CALLS: Final = _probe(
    _user(),
    _says("", calls=[_call(_OBJECT), _call({"key": _TWO}, _OTHER_ID)]),
    _result(_THREE),
    _result(_FOUR, _OTHER_ID),
    words=[_ONE, _TWO, _THREE, _FOUR],
)
WORDS_AND_CALL: Final = _probe(
    _user(),
    _says(_ONE, calls=[_call({"key": _TWO})]),
    _result("y"),
    _says("z"),
    _user(),
    words=[_ONE, _TWO],
)
THOUGHT_WORDS_AND_CALL: Final = _probe(
    _user(), _says(_ONE, "y", [_call({"key": _TWO})]), _result("z"), words=[_ONE, _TWO]
)
# A template that prints content whatever it is prints a list of parts as Python writes it.
THOUGHT_AND_CALL: Final = _probe(
    _user(), _says("", _ONE, [_call(_PLAIN)]), _result("y"), words=[_ONE], unwanted=["'thinking'", '"thinking"']
)
THOUGHT: Final = _probe(_user(), _says("y", _ONE), words=[_ONE], unwanted=["'thinking'", '"thinking"'])
SYSTEM: Final = _probe(_system(_ONE), _user(_TWO), words=[_ONE, _TWO])
TWO_SYSTEM: Final = _probe(_system(_ONE), _system(_TWO), _user(), words=[_ONE, _TWO])
LATER_SYSTEM: Final = _probe(_user(), _says("y"), _system(_ONE), words=[_ONE])
SYSTEM_ALONE: Final = _probe(_system(_ONE), words=[_ONE])
SYSTEM_AND_TOOLS: Final = _probe(_system(_ONE), words=[_ONE], tools=[whole(_BARE_TOOL)])
SYSTEM_IN_LOOP: Final = _probe(_system(_ONE), _user(), _calls(_PLAIN), _result(_TWO), words=[_ONE, _TWO])
INTERRUPTED: Final = _probe(_user(), _calls(_PLAIN), _result(_ONE), _user(_TWO), words=[_ONE, _TWO])
NO_TURNS: Final = _probe(_user(_ONE), _user(_TWO), _says(_THREE), _says(_FOUR), words=[_ONE, _TWO, _THREE, _FOUR])
TEXT: Final = _probe(_user(_ONE), words=[_ONE])
