"""Calls at random under their grammar, in every dialect, read by the text layer that reads the models' own."""

import json
import random
from functools import cache
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from support.decoders import events_of
from support.scripted_model import END_ID, SPECIALS, ids_of, make_grammars, text_of

from obeaver.api.core.answer_grammar import AnswerGrammar, Thinking
from obeaver.api.core.tool_grammar import CallableFunction, arguments_schema, call_rules, json_calls
from obeaver.engine.grammar.grammar import GrammarCompiler, Matcher, json_schema_part
from obeaver.errors import GrammarTooComplex
from obeaver.text.events import Answer, join_events
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.tool_calls.dialects import DIALECTS
from obeaver.text.tool_spec import ToolSpec

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["°C", "F </p>"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "at": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
    },
    "required": ["city", "at"],
}
CODED = {"type": "object", "properties": {"code": {"type": "string", "pattern": "^[A-Z]{2}$"}}, "required": ["code"]}
TREE = {
    "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "x": {"type": "integer"}}}},
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/Node"}},
    "required": ["root"],
}
FUNCTIONS = [
    CallableFunction("get_weather", WEATHER),
    CallableFunction("get", CODED),
    CallableFunction("get_time", {}),
    CallableFunction("plant", TREE),
]
CONTROL = {"<tool_call>": 256 + SPECIALS.index("<tool_call>"), "</tool_call>": 256 + SPECIALS.index("</tool_call>")}
THINK = {"<think>": 256 + SPECIALS.index("<think>"), "</think>": 256 + SPECIALS.index("</think>")}
LIKELY = frozenset('"}]{[,: 0123456789.</>\n' + "truefalsnabc")
ANSWER = {"type": "object", "properties": {"name": {"type": "string"}, "z": {"type": "integer"}}, "required": ["z"]}


@cache
def compiler() -> GrammarCompiler:
    return make_grammars()


def written_at_random(grammar: str, seed: int) -> str | None:
    """A text under the grammar; None if it has not come to an end soon."""
    source = random.Random(seed)
    matcher, text = compiler().compile(grammar), bytearray()
    for _ in range(900):
        allowed = [int(i) for i in np.flatnonzero(matcher.allowed())]
        if END_ID in allowed and (len(allowed) == 1 or source.random() < 0.5):
            return text.decode()
        allowed = [i for i in allowed if i != END_ID]
        special = [i for i in allowed if i >= 256]
        likely = [i for i in allowed if i < 128 and chr(i) in LIKELY]
        token_id = source.choice(special or (likely if likely and source.random() < 0.9 else allowed))
        matcher.accept(token_id)
        text += text_of([token_id]).encode() if token_id >= 256 else bytes([token_id])
    return None


def read(text: str, dialect: str) -> Answer:
    tools = [ToolSpec(function.name, "", function.parameters) for function in FUNCTIONS]
    return join_events(events_of(text, tool_dialect=dialect, tools=tools))


def follows(grammar: str, text: str) -> bool:
    matcher: Matcher = compiler().compile(grammar)
    try:
        for token_id in ids_of(text):
            matcher.accept(token_id)
    except GrammarTooComplex:
        return False
    return bool(matcher.allowed()[END_ID])


def check_calls(answer: Answer) -> None:
    schemas = {function.name: arguments_schema(function.parameters) for function in FUNCTIONS}
    for call in answer.tool_calls:
        Draft202012Validator(schemas[call.name]).validate(json.loads(call.arguments))


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_calls_that_must_be_always_parse_and_their_arguments_are_valid(dialect: str, several: bool) -> None:
    rules = call_rules(DIALECTS[dialect], FUNCTIONS, CONTROL, several=several)
    grammar = AnswerGrammar(None, CONTROL).must_call(rules, several=several)
    texts = [text for seed in range(24) if (text := written_at_random(grammar, seed)) is not None]
    assert len(texts) > 5
    for text in texts:
        answer = read(text, dialect)
        assert answer.content == "", text
        assert len(answer.tool_calls) >= 1
        assert several or len(answer.tool_calls) == 1
        check_calls(answer)


@pytest.mark.parametrize(
    ("dialect", "control"),
    [*((dialect, {}) for dialect in sorted(DIALECTS)), ("hermes", CONTROL), ("qwen3_coder", CONTROL)],
)
def test_the_dialects_own_calls_are_among_those_that_may_be_written(dialect: str, control: dict[str, int]) -> None:
    simple = [CallableFunction("get", {"type": "object", "properties": {"a": {"type": "string"}}}), FUNCTIONS[2]]
    rules = call_rules(DIALECTS[dialect], simple, control, several=True)
    grammar = AnswerGrammar(None, control).must_call(rules, several=True)
    calls = [("get", '{"a": "x"}'), ("get_time", "{}")]
    if dialect == "function_call":  # objects instead of strings of JSON
        text = "\n".join(f'{{"function_call": {{"name": "{name}", "arguments": {value}}}}}' for name, value in calls)
    else:
        text = DIALECTS[dialect].format.write(calls)
    matcher = compiler().compile(grammar)
    for token_id in ids_of(text) if control else text.encode():
        matcher.accept(token_id)
    assert matcher.allowed()[END_ID]


@pytest.mark.parametrize(
    ("dialect", "marker"),
    [
        ("phi", "<|tool_call|>["),
        ("mistral", "[TOOL_CALLS]"),
        ("functools", "functools["),
        ("functioncall", "<functioncall>"),
        ("function_calls", "<|function_calls|>["),
        ("mistral_list", "[TOOL_CALLS]["),
    ],
)
def test_text_is_free_up_to_the_marker_and_not_behind_it(dialect: str, marker: str) -> None:
    rules = call_rules(DIALECTS[dialect], FUNCTIONS, {}, several=True)
    grammar = AnswerGrammar(None, {}).text_or_calls(rules, several=True)
    call = DIALECTS[dialect].format.write([("get", '{"code": "AB"}')])
    assert follows(grammar, "Any text, {even} [this] <tool_cal or functools.")
    assert follows(grammar, f"Let me see.\n{call}")
    assert follows(grammar, f"{call} and then\n{call}\n")
    assert not follows(grammar, f"I see {marker}nothing")
    assert not follows(grammar, DIALECTS[dialect].format.write([("get", '{"code": "ab"}')]))


def test_a_marker_that_is_a_control_token_is_meant_by_id() -> None:
    rules = call_rules(DIALECTS["hermes"], FUNCTIONS, CONTROL, several=True)
    grammar = AnswerGrammar(None, CONTROL).text_or_calls(rules, several=True)
    call = DIALECTS["hermes"].format.write([("get", '{"code": "AB"}')])
    assert follows(grammar, f"Let me see.\n{call}\n{call}")
    assert not follows(grammar, "<tool_call>nothing")


@pytest.mark.parametrize(
    ("mark", "control"),
    [("]<]minimax[>[", CONTROL), ("<think>", CONTROL | {"]<]minimax[>[": THINK["<think>"]})],
    ids=["its end", "in two"],
)
def test_a_marker_may_be_made_of_control_tokens(mark: str, control: dict[str, int]) -> None:
    rules = call_rules(DIALECTS["minimax_m3"], FUNCTIONS, control, several=True)
    grammar = AnswerGrammar(None, control).text_or_calls(rules, several=True)
    call = DIALECTS["minimax_m3"].format.write([("get_weather", '{"city": "Paris", "days": 3, "at": {"lat": 1.5}}')])
    call = call.replace("]<]minimax[>[<lat>1.5]<]minimax[>[</lat>", '{"lat": 1.5}').replace("]<]minimax[>[", mark)
    assert follows(grammar, "Any text, {even} [this] or <tool.")
    assert follows(grammar, f"Let me see.\n{call}{call}\nDone.")
    assert not follows(grammar, f"I see {mark}<tool_call>nothing")


@pytest.mark.parametrize("dialect", ["llama3", "json", "json_block", "function_call"])
def test_a_dialect_without_markers_is_held_to_it_from_the_beginning_of_the_answer(dialect: str) -> None:
    rules = call_rules(DIALECTS[dialect], FUNCTIONS, {}, several=True)
    grammar = AnswerGrammar(None, {}).text_or_calls(rules, several=True)
    opening = DIALECTS[dialect].format.list_begin or DIALECTS[dialect].format.call_begin
    assert follows(grammar, "Any text")
    assert follows(grammar, '{"some": "object"}')
    assert follows(grammar, f"Write {opening}")
    assert follows(grammar, written_at_random(AnswerGrammar(None, {}).must_call(rules, several=False), 1) or "")
    assert not follows(grammar, f"{opening}wizard")


def test_without_parallel_calls_nothing_follows_the_first() -> None:
    rules = call_rules(DIALECTS["hermes"], FUNCTIONS, CONTROL, several=False)
    grammar = AnswerGrammar(None, CONTROL).text_or_calls(rules, several=False)
    call = DIALECTS["hermes"].format.write([("get", '{"code": "AB"}')])
    assert follows(grammar, f"Let me see.\n{call}")
    assert not follows(grammar, f"{call}\n")


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_an_answer_is_its_form_or_calls(dialect: str) -> None:
    rules = call_rules(DIALECTS[dialect], FUNCTIONS, CONTROL, several=False)
    calls = json_calls(DIALECTS[dialect], FUNCTIONS)
    grammar = AnswerGrammar(None, CONTROL).form_or_calls(json_schema_part(ANSWER), rules, calls)
    call = written_at_random(AnswerGrammar(None, CONTROL).must_call(rules, several=False), 1)
    assert call is not None
    assert follows(grammar, call)
    assert follows(grammar, '{"name": "Bob", "z": 1}')
    assert not follows(grammar, '{"name": "Bob"}')
    assert not follows(grammar, "Bob")


@pytest.mark.parametrize("control", [{}, THINK], ids=["text", "control tokens"])
@pytest.mark.parametrize("is_open", [False, True])
def test_reasoning_stands_first_and_is_free(control: dict[str, int], is_open: bool) -> None:
    markers = ("<think>", "</think>") if control else ("<thunk>", "</thunk>")
    make = AnswerGrammar(Thinking(*markers, is_open=is_open), control)
    rules = call_rules(DIALECTS["phi"], FUNCTIONS, control, several=True)
    call = DIALECTS["phi"].format.write([("get", '{"code": "AB"}')])
    begin = "" if is_open else markers[0]
    thought = f"{begin}\nHm: <|tool_call|>[ {{nothing\n{markers[1]}\n\n"
    for grammar, rest in (
        (make.form(json_schema_part(ANSWER)), '{"z": 1}'),
        (make.must_call(rules, several=True), call),
        (make.form_or_calls(json_schema_part(ANSWER), rules, []), call),
        (make.text_or_calls(rules, several=True), f"Let me see. {call}"),
        (make.text_or_calls(rules, several=True), "Fine."),
    ):
        assert follows(grammar, thought + rest)
        assert follows(grammar, rest) is not is_open
        assert not follows(grammar, f"{begin}I never stop")
    assert not follows(make.text_or_calls(rules, several=True), thought + "<|tool_call|>[nothing")
    assert not follows(make.form(json_schema_part(ANSWER)), thought + "Bob")


def test_parameters_that_no_tag_can_tell_apart_are_written_as_json() -> None:
    anything = {"type": "object", "properties": {"a": {"type": ["string", "integer"]}}, "required": ["a"]}
    rules = call_rules(DIALECTS["qwen3_coder"], [CallableFunction("get", anything)], {}, several=False)
    grammar = AnswerGrammar(None, {}).must_call(rules, several=False)
    assert follows_plain(grammar, '<tool_call>\n<function=get>\n{"a": 1}\n</function>\n</tool_call>')
    assert not follows_plain(
        grammar, "<tool_call>\n<function=get>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>"
    )


def follows_plain(grammar: str, text: str) -> bool:
    """The same for markers that are no control tokens."""
    matcher = compiler().compile(grammar)
    try:
        for byte in text.encode():
            matcher.accept(byte)
    except GrammarTooComplex:
        return False
    return bool(matcher.allowed()[END_ID])


def test_lenient_parameters_are_enforced_as_far_as_possible() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    function = CallableFunction("get", schema, lenient=True)
    grammar = AnswerGrammar(None, {}).must_call(
        call_rules(DIALECTS["phi"], [function], {}, several=False), several=False
    )
    assert follows(grammar, DIALECTS["phi"].format.write([("get", '{"a": [1, 1]}')]))
    assert not follows(grammar, DIALECTS["phi"].format.write([("get", '{"a": 1}')]))


K3_THOUGHT, SOLAR_THOUGHT = "Hm.<|close|>think<|sep|><|open|>response<|sep|>", "<|think|>Hm.<|end|><|begin|>assistant"
K3_END = "<|close|>response<|sep|><|close|>message<|sep|>"
K3 = Thinking("<|open|>think<|sep|>", "<|close|>think<|sep|>", is_open=True)
SOLAR = Thinking("<|think|>", "<|end|>", is_open=False)


@pytest.mark.parametrize(
    ("dialect", "thinking", "thought", "begin", "end"),
    [
        ("kimi_k3", K3, K3_THOUGHT, "", K3_END),
        ("kimi_k3", None, "", "", K3_END),
        ("solar", SOLAR, SOLAR_THOUGHT, "<|content|>", "<|end|>"),
        ("solar", SOLAR, "", "<|content|>", "<|end|>"),
        ("functionary", None, "", "all\n", ""),
    ],
)
def test_a_family_that_frames_its_messages_may_frame_them_under_a_grammar(
    dialect: str, thinking: Thinking | None, thought: str, begin: str, end: str
) -> None:
    row = DIALECTS[dialect]
    grammar = AnswerGrammar(thinking, {}, row.channels)
    calls = call_rules(row, FUNCTIONS, {}, several=True)
    part = json_schema_part(ANSWER)
    called = thought + row.format.write([("get_time", "{}")] * 2)
    said, formed = f"{thought}{begin}Dams {{1}}.", f'{thought}{begin}{{"z": 1}}'
    for text in (said, said + end, called):
        assert follows(grammar.text_or_calls(calls, several=True), text), text
    assert follows(grammar.must_call(calls, several=True), called)
    assert not follows(grammar.must_call(calls, several=True), said)
    assert follows(grammar.form(part), formed)
    assert follows(grammar.form_or_calls(part, calls, []), formed)
    assert follows(grammar.form_or_calls(part, calls, []), called)
    assert not follows(grammar.form(part), said)

    def told(text: str) -> Answer:
        tools = [ToolSpec(function.name, "", function.parameters) for function in FUNCTIONS]
        markers = ThinkMarkers(thinking.open, thinking.close) if thinking else None
        is_open = thinking is not None and thinking.is_open
        return join_events(events_of(text, think=markers, think_open=is_open, tool_dialect=dialect, tools=tools))

    reasoning = "Hm." if thought else ""
    assert told(said) == told(said + end) == Answer("Dams {1}.", reasoning)
    assert told(formed) == Answer('{"z": 1}', reasoning)
    assert [call.name for call in told(called).tool_calls] == ["get_time"] * 2
    assert told(called).content == ""
