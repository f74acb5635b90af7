"""The server's own answers, and those of other servers, sent back to a chat template as clients send them.

Everything is real but the model: answers are written in the model's dialect, read by the text layer, put on the wire,
taken from there as a request, and rendered.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from support.decoders import events_of

from obeaver.api.chat import wire
from obeaver.api.chat.request import parse_chat_request
from obeaver.api.core.prompt import render
from obeaver.errors import TemplateFailed
from obeaver.models.dialects import think_markers, tool_dialect
from obeaver.text.chat_template import ChatTemplate
from obeaver.text.events import join_events
from obeaver.text.needs.need import Need
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.tool_calls.dialects import DEFAULT_DIALECT, DIALECTS

Message = dict[str, Any]

SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tell the weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "Where"}},
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "get_time"}},
]


def user(content: str) -> Message:
    return {"role": "user", "content": content}


def system(content: str) -> Message:
    return {"role": "system", "content": content}


def result(call_id: str, content: str) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def foreign_call(call_id: str, city: str) -> Message:
    """A call as another server made it."""
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "get_weather", "arguments": json.dumps({"city": city})},
    }


def arguments(city: str) -> str:
    return json.dumps({"city": city})


@dataclass
class RoundTrip:
    """One template under test.

    Attributes:
        source: Jinja.
        faults: What went wrong, in words.
    """

    source: str
    architecture: str = "llama"
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dialect = tool_dialect(self.source, self.architecture)
        markers = think_markers(self.source, "")
        self.think = ThinkMarkers(*markers) if markers else None
        self.template = ChatTemplate(
            self.source, special_tokens=SPECIAL_TOKENS, control_tokens=[], tool_dialect=self.dialect
        )

    @property
    def needs(self) -> frozenset[Need]:
        return self.template.needs

    def written(self, *cities: str) -> str:
        """Calls as the model writes them."""
        call_format = DIALECTS[self.dialect or DEFAULT_DIALECT].format
        return call_format.write(("get_weather", arguments(city)) for city in cities)

    def answer(self, text: str, history: list[Message]) -> Message:
        """The server's message, where the model says this."""
        tools = parse_chat_request({"messages": history, "tools": TOOLS}).conversation.tools
        events = events_of(
            [text],
            think=self.think,
            tool_dialect=self.dialect,
            tools=tools.specs,
            parallel_tool_calls=tools.several(self.template),
        )
        told = join_events(events)
        calls = [wire.tool_call(call.id, call.name, call.arguments) for call in told.tool_calls]
        message: Message = json.loads(json.dumps(wire.message(told.content, told.reasoning, calls)))
        return message

    def prompt(self, history: list[Message], **parameters: Any) -> str:
        """What the model reads.

        Raises:
            TemplateFailed: The template rejects it.
        """
        return render(self.template, parse_chat_request({"messages": history, **parameters}).conversation).text

    def holds(self, name: str, history: list[Message], words: Iterable[str], **parameters: Any) -> str:
        """The prompt, which must hold the words."""
        try:
            text = self.prompt(history, **{"tools": TOOLS, **parameters})
        except TemplateFailed as error:
            self.faults.append(f"{name}: {error.message}")
            return ""
        self.faults += [f"{name}: {word} is missing" for word in words if word not in text]
        return text

    def shows(self, history: list[Message], word: str) -> bool:
        """Whether a word gets through, which the template may leave out on purpose."""
        try:
            return word in self.prompt(history, tools=TOOLS)
        except TemplateFailed:
            return False

    def run(self) -> "RoundTrip":
        """Every kind of answer comes back, and what clients do beside."""
        self._own_answers()
        self._foreign_answers()
        self._odd_turns()
        return self

    def _own_answers(self) -> None:
        history = [system("sysword"), user("userone")]
        self.holds("tools", history, ["sysword", "userone", "get_weather", "get_time"])
        history += [self.answer("textword", history), user("usertwo")]
        self.holds("text", history, ["sysword", "userone", "textword", "usertwo"])
        history += self._calls_and_results(history, "Parisone")
        words = ["sysword", "userone", "textword", "usertwo", "Parisone", "resultParisone", "get_weather"]
        self.holds("one call", history, words)
        history += [self.answer("answerword", history), user("userthree")]
        self.holds("a call answered", history, [*words, "answerword", "userthree"])
        history += self._calls_and_results(history, "Rometwo", "Oslothree")
        words += ["answerword", "userthree", "Rometwo", "resultRometwo"]
        words += [] if Need.ONE_CALL in self.needs else ["Oslothree", "resultOslothree"]
        self.holds("several calls", history, words)
        self.holds("calls in the past", history, [word for word in words if word != "get_weather"], tools=[])
        if self.think:
            thought = f"{self.think.open}thoughtword{self.think.close}\n\n"
            asked = [system("sysword"), user("userone")]
            loop = asked + self._calls_and_results(asked, "Paris", before=thought)
            self.holds("reasoning and a call", loop, ["sysword", "userone", "Paris", "resultParis"])
            past = [*asked, self.answer(f"{thought}textword", asked), user("usertwo")]
            self.holds("reasoning and text", past, ["sysword", "userone", "textword", "usertwo"])

    def _calls_and_results(self, history: list[Message], *cities: str, before: str = "") -> list[Message]:
        message = self.answer(before + self.written(*cities), history)
        calls = message.get("tool_calls", [])
        if len(calls) != (1 if Need.ONE_CALL in self.needs else len(cities)):
            self.faults.append(f"{len(cities)} calls were read as {len(calls)}")
        return [
            message,
            *(result(call["id"], f"result{json.loads(call['function']['arguments'])['city']}") for call in calls),
        ]

    def _foreign_answers(self) -> None:
        ids = ["call_" + "a" * 24, "chatcmpl-tool-" + "b" * 32]
        calls = [foreign_call(ids[0], "Parisone"), foreign_call(ids[1], "Rometwo")]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        results = [result(ids[1], "resulttwo"), result(ids[0], "resultone")]
        words = ["Parisone", "Rometwo", "resultone", "resulttwo"]
        self.holds("calls of another server", [user("x"), message, *results], words)
        for text in ("", " ", "null", None, "{}", '{"city": "Par'):
            call = {"id": ids[0], "type": "function", "function": {"name": "get_time", "arguments": text}}
            told = [
                user("x"),
                {"role": "assistant", "content": None, "tool_calls": [call]},
                result(ids[0], "resultone"),
            ]
            self.holds(f"arguments {text!r}", told, ["get_time", "resultone"])
        self.holds(
            "no calls", [user("x"), {"role": "assistant", "content": "y1", "tool_calls": []}, user("z1")], ["y1", "z1"]
        )

    def _odd_turns(self) -> None:
        said = {"role": "assistant", "content": "saidword"}
        called = {"role": "assistant", "content": None, "tool_calls": [foreign_call("call_1", "Parisone")]}
        self.holds("no tools", [user("userone")], ["userone"], tools=[])
        self.holds(
            "two system messages",
            [system("sysone"), system("systwo"), user("userone")],
            ["sysone", "systwo", "userone"],
        )
        self.holds(
            "a later system message",
            [user("userone"), said, system("sysword"), user("usertwo")],
            ["sysword", "usertwo", "saidword"],
        )
        self.holds(
            "a system message in a call",
            [user("userone"), called, result("call_1", "resultone"), system("sysword")],
            ["sysword", "resultone"],
        )
        self.holds(
            "a developer's message",
            [{"role": "developer", "content": "devword"}, user("userone")],
            ["devword", "userone"],
        )
        self.holds("a system message alone", [system("sysword")], ["sysword"])
        self.holds("two messages of the user", [user("userone"), user("usertwo")], ["userone", "usertwo"])
        self.holds("the assistant begins", [said, user("userone")], ["saidword", "userone"])
        self.holds(
            "results and the user",
            [user("x"), called, result("call_1", "resultone"), user("usertwo")],
            ["resultone", "usertwo"],
        )
        parts = {"role": "user", "content": [{"type": "text", "text": "partone"}, {"type": "text", "text": "parttwo"}]}
        self.holds("parts", [parts], ["partone", "parttwo"])
