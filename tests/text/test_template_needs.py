"""Templates that know less than the API: what each needs is found, and conversations come through whole.

The templates here are our own. Each reproduces one thing that templates of real families do; `docs/chat-templates.md`
tells which families do it.
"""

from typing import Any

import pytest
from support.round_trip import TOOLS, RoundTrip, result, system, user

from obeaver.text.chat_template import ChatTemplate
from obeaver.text.needs.need import Need
from obeaver.text.needs.retelling import short_call_ids

TURN = "{{ '<|im_start|>' ~ m.role ~ '\n' }}"
END = "{{ '<|im_end|>\n' }}"
OPEN = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
TELLS_TOOLS = "{% if tools %}{{ '<|im_start|>tools\n' ~ (tools | tojson) ~ '<|im_end|>\n' }}{% endif %}"
CALL = """{{ '<tool_call>\n{"name": "' ~ c.function.name ~ '", "arguments": ' ~ (ARGUMENTS) ~ '}\n</tool_call>' }}"""
JSON = "c.function.arguments | tojson"
CALLS = "{% for c in m.tool_calls or [] %}" + CALL.replace("ARGUMENTS", JSON) + "{% endfor %}"


def rejects(condition: str, reason: str) -> str:
    return f"{{% if {condition} %}}{{{{ raise_exception('{reason}') }}}}{{% endif %}}"


def loop(*parts: str, over: str = "messages") -> str:
    return "{% for m in " + over + " %}" + "".join(parts) + "{% endfor %}" + OPEN


def whole(*parts: str, turn: str = TURN) -> str:
    """A template that knows tools, with these parts between the head and the end of a turn."""
    return TELLS_TOOLS + loop(turn, *parts, END)


ASKS = rejects("(m.role == 'user') != (ns.n % 2 == 0)", "Roles must alternate")
IN_WORDS = {Need.TOOLS_IN_WORDS, Need.CALLS_IN_WORDS, Need.RESULTS_IN_WORDS}
EVERYTHING = whole("{{ m.content }}", CALLS)
WANTS_ALTERNATION = (
    "{% set ns = namespace(n=0) %}{% if messages[0].role == 'system' %}{% set s = messages[0].content ~ '\n' %}"
    "{% set rest = messages[1:] %}{% else %}{% set s = '' %}{% set rest = messages %}{% endif %}"
)
COUNTS = (
    rejects("m.role == 'system'", "Only one, and first")
    + "{% if m.role == 'user' or (m.role == 'assistant' and not m.tool_calls) %}"
    + ASKS
    + "{% set ns.n = ns.n + 1 %}{% endif %}"
)
ID_RULE = (
    "{% for c in m.tool_calls or [] %}"
    + rejects("c.id | length != 9", "ids of 9")
    + "{% endfor %}"
    + rejects("m.role == 'tool' and m.tool_call_id | length != 9", "ids of 9")
    + "{{ m.tool_call_id }}{% for c in m.tool_calls or [] %}{{ c.id }}{% endfor %}"
)
THINKS = "{% if m.KEY %}{{ '<think>' ~ m.KEY ~ '</think>' }}{% endif %}"

TEMPLATES: dict[str, tuple[str, set[Need]]] = {
    "knows everything": (EVERYTHING + THINKS.replace("{% if m.KEY %}", "{% if false %}"), set()),
    "knows reasoning": (whole(THINKS.replace("KEY", "reasoning_content"), "{{ m.content }}", CALLS), set()),
    "knows no tools": (loop(TURN, "{{ m.content }}", END), IN_WORDS),
    "shows tools, and no calls": (whole("{{ m.content }}"), {Need.CALLS_IN_WORDS}),
    "shows calls, and no tools": (loop(TURN, "{{ m.content }}", CALLS, END), {Need.TOOLS_IN_WORDS}),
    "rejects results": (
        whole(rejects("m.role == 'tool'", "Who?") + "{{ m.content }}", CALLS),
        {Need.RESULTS_IN_WORDS},
    ),
    "reads the parameters of functions": (
        "{% for t in tools or [] %}{{ t.function.name ~ ': ' + t.function.description }}"
        "{% for key, value in t.function.parameters.properties.items() %}{{ key }}{% endfor %}{% endfor %}"
        + loop(TURN, "{{ m.content }}", CALLS, END),
        {Need.WHOLE_TOOLS},
    ),
    "rejects two calls": (
        whole(rejects("m.tool_calls and m.tool_calls | length > 1", "One!"), "{{ m.content }}", CALLS),
        {Need.ONE_CALL},
    ),
    "drops a second call": (
        whole("{{ m.content }}", CALLS.replace("m.tool_calls or []", "(m.tool_calls or [])[:1]")),
        {Need.ONE_CALL},
    ),
    "drops words beside a call": (
        whole("{% if m.tool_calls %}", CALLS, "{% else %}{{ m.content }}{% endif %}"),
        {Need.WORDS_APART},
    ),
    "takes words or reasoning beside a call": (
        whole(
            rejects("m.tool_calls and m.content and m.reasoning_content", "Not both"),
            rejects("m.role == 'assistant' and loop.previtem.role == 'assistant'", "Turns"),
            THINKS.replace("KEY", "reasoning_content"),
            "{{ m.content }}",
            CALLS,
        ),
        {Need.WORDS_AS_THOUGHT, Need.TURNS},
    ),
    "wants short ids": (whole(ID_RULE, "{{ m.content }}", CALLS), {Need.SHORT_CALL_IDS}),
    "names calls by their id": (
        whole("{{ m.content }}", CALLS.replace("c.function.name", "c.id")),
        {Need.TELLING_CALL_IDS},
    ),
    "reads results in the message that calls": (
        whole(
            CALLS,
            "{% for r in m.tool_responses or [] %}{{ '<result>' ~ r.name ~ '=' ~ r.response }}{% endfor %}",
            "{{ m.content }}",
        ),
        {Need.RESULTS_IN_CALL},
    ),
    "walks through arguments": (
        whole(
            "{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>\n{{ '<function=' ~ c.function.name ~ '>\n' }}"
            "{% for key, value in c.function.arguments.items() %}"
            "{{ '<parameter=' ~ key ~ '>\n' ~ value ~ '\n</parameter>\n' }}{% endfor %}"
            "{{ '</function>\n</tool_call>' }}{% endfor %}"
        ),
        {Need.ARGUMENT_OBJECTS},
    ),
    "joins arguments as text": (
        whole("{{ m.content }}", CALLS.replace(JSON, "'' + c.function.arguments")),
        {Need.ARGUMENT_TEXT},
    ),
    "reads `reasoning`": (whole(THINKS.replace("KEY", "reasoning"), "{{ m.content }}", CALLS), {Need.REASONING}),
    "reads `thinking`": (whole(THINKS.replace("KEY", "thinking"), "{{ m.content }}", CALLS), {Need.THINKING}),
    "reads reasoning in the content": (
        whole(
            "{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}"
            "{% if part.type == 'thinking' %}{{ '[THINK]' ~ part.thinking ~ '[/THINK]' }}"
            "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}",
            CALLS,
        ),
        {Need.THINKING_PART},
    ),
    "knows one system message": (
        TELLS_TOOLS
        + "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% set messages = messages[1:] %}{% endif %}"
        + loop(rejects("m.role == 'system'", "Only one"), TURN, "{{ m.content }}", CALLS, END),
        {Need.ONE_SYSTEM, Need.NO_LATER_SYSTEM},
    ),
    "knows no system message": (
        whole(rejects("m.role == 'system'", "No system") + "{{ m.content }}", CALLS),
        {Need.NO_SYSTEM, Need.NO_LATER_SYSTEM},
    ),
    "drops system messages": (
        TELLS_TOOLS + loop("{% if m.role != 'system' %}", TURN, "{{ m.content }}", CALLS, END, "{% endif %}"),
        {Need.NO_SYSTEM, Need.NO_LATER_SYSTEM},
    ),
    "tells the system message with the user's last only": (
        TELLS_TOOLS
        + "{% if messages[0].role == 'system' %}{% set s = messages[0].content %}"
        + "{% set messages = messages[1:] %}{% endif %}"
        + loop(TURN, "{% if loop.last and m.role == 'user' %}{{ s }}{% endif %}{{ m.content }}", CALLS, END),
        {Need.NO_SYSTEM_IN_LOOP, Need.SOME_USER},
    ),
    "wants a user": (
        rejects("not messages | selectattr('role', 'equalto', 'user') | list", "Nobody asks")
        + EVERYTHING,
        {Need.SOME_USER},
    ),
    "wants a user where there are tools": (
        rejects("tools and messages | map(attribute='role') | list == ['system']", "Nobody")
        + EVERYTHING,
        {Need.SOME_USER},
    ),
    "wants turns": (
        WANTS_ALTERNATION + TELLS_TOOLS + "{{ s }}" + loop(COUNTS, TURN, "{{ m.content }}", CALLS, END, over="rest"),
        {Need.ONE_SYSTEM, Need.NO_LATER_SYSTEM, Need.ANSWERED_RESULTS, Need.TURNS},
    ),
    "wants turns, and no system message": (
        "{% set ns = namespace(n=0) %}"
        + loop(
            ASKS,
            "{% set ns.n = ns.n + 1 %}" + rejects("m.role not in ['user', 'assistant']", "Who?"),
            TURN,
            "{{ m.content | trim }}",
            END,
        ),
        IN_WORDS | {Need.NO_SYSTEM, Need.NO_LATER_SYSTEM, Need.TURNS},
    ),
    "wants parts": (
        whole("{% for part in m.content %}{{ part.text }}{% endfor %}", CALLS),
        {Need.PARTS},
    ),
    "wants a list of tools": (
        "{% for t in tools %}{{ t | tojson }}{% endfor %}" + loop(TURN, "{{ m.content }}", CALLS, END),
        {Need.EMPTY_TOOLS},
    ),
    "keeps a list of its own": (
        whole(
            "{% set ns = namespace(ids=[]) %}"
            "{% for c in m.tool_calls or [] %}{% set _ = ns.ids.append(c.id) %}{% endfor %}"
            "{% if ns.ids %}{{ ns.ids.pop(0) }}{% endif %}{{ m.content }}",
            CALLS,
        ),
        set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_template_needs_is_found_by_trying_it(name: str) -> None:
    source, needs = TEMPLATES[name]
    assert RoundTrip(source).needs == needs


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_answer_comes_back_and_is_told_whole(name: str) -> None:
    assert RoundTrip(TEMPLATES[name][0]).run().faults == []


def rendered(name: str, messages: list[dict[str, Any]], **options: Any) -> str:
    """A prompt of one of the templates above, from messages as `plain_messages` makes them."""
    chat = ChatTemplate(TEMPLATES[name][0], special_tokens={}, control_tokens=[])
    return chat.render(messages, add_generation_prompt=False, **options).text


def plain_call(call_id: str, city: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": {"city": city}}}


def says(content: str, *calls: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **more}


TWO = says("", plain_call("call_a", "Paris"), plain_call("call_b", "Rome"))


def contents(text: str) -> list[tuple[str, str]]:
    """Role and content of each turn of a prompt."""
    turns = [turn.split("\n", 1) for turn in text.replace("<|im_end|>\n", "").split("<|im_start|>")[1:]]
    return [(role, content) for role, content in turns]


def test_several_calls_are_told_one_by_one_each_with_its_result() -> None:
    results = [result("call_b", "20"), result("call_a", "18")]
    told = contents(rendered("rejects two calls", [user("x"), TWO, *results, user("y")]))
    assert [role for role, _ in told] == ["user", "assistant", "tool", "assistant", "tool", "user"]
    assert [("Paris" in content, "Rome" in content) for _, content in told[1:5:2]] == [(True, False), (False, True)]
    assert [content for _, content in told[2:5:2]] == ["18", "20"]


def test_a_call_without_a_result_and_a_result_without_a_call_keep_their_place() -> None:
    told = contents(rendered("rejects two calls", [user("x"), TWO, result("call_b", "20"), result("call_z", "?")]))
    assert [role for role, _ in told] == ["user", "assistant", "assistant", "tool", "tool"]
    assert [content for _, content in told[3:]] == ["20", "?"]


def test_words_and_reasoning_go_with_the_first_of_several_calls() -> None:
    source = TEMPLATES["rejects two calls"][0].replace(
        "{{ m.content }}", "{{ m.content ~ (m.reasoning_content or '') }}"
    )
    chat = ChatTemplate(source, special_tokens={}, control_tokens=[])
    told = contents(chat.render([user("x"), {**TWO, "content": "Look", "reasoning_content": "Hm"}]).text)
    assert [content.startswith("LookHm") for role, content in told if role == "assistant" and content] == [True, False]


def test_ids_of_other_servers_become_short_the_same_for_a_call_and_its_result() -> None:
    messages = [says("", plain_call("call_" + "0" * 24, "Paris")), result("call_" + "0" * 24, "18")]
    call, answer = short_call_ids(messages)
    short = call["tool_calls"][0]["id"]
    assert (len(short), short.isalnum(), answer["tool_call_id"]) == (9, True, short)
    assert short_call_ids([call, answer]) == [call, answer]


@pytest.mark.parametrize("other", ["", "a", "call_1", "0" * 8, "0" * 10, "12345678-", "é" * 9, "\ud800" * 9])
def test_any_id_becomes_a_short_one_of_its_own(other: str) -> None:
    first, second = (short_call_ids([says("", plain_call(given, "x"))])[0] for given in (other, other + "x"))
    ids = [message["tool_calls"][0]["id"] for message in (first, second)]
    assert all(len(short) == 9 and short.isascii() and short.isalnum() for short in ids)
    assert ids[0] != ids[1]


def test_an_id_that_names_the_function_counts_the_calls_of_the_whole_conversation() -> None:
    third = says("", plain_call("call_c", "Oslo"))
    text = rendered("names calls by their id", [user("x"), TWO, result("call_a", "18"), third])
    assert [f"functions.get_weather:{place}" in text for place in range(4)] == [True, True, True, False]


def test_results_and_the_answer_to_them_join_the_message_that_calls() -> None:
    other = result("call_z", "?") | {"name": "get_time"}
    messages = [user("x"), TWO, result("call_b", "20"), result("call_a", "18"), other, says("Warm."), user("y")]
    told = contents(rendered("reads results in the message that calls", messages))
    assert [role for role, _ in told] == ["user", "assistant", "user"]
    assert told[1][1].endswith("<result>get_weather=20<result>get_weather=18<result>get_time=?Warm.")


def test_words_beside_calls_keep_the_answer_to_their_results_apart() -> None:
    messages = [user("x"), {**TWO, "content": "Look."}, result("call_a", "18"), says("Warm.")]
    told = contents(rendered("reads results in the message that calls", messages))
    assert [role for role, _ in told] == ["user", "assistant", "assistant"]
    assert [content.endswith(words) for (_, content), words in zip(told[1:], ("18Look.", "Warm."), strict=True)] == [
        True,
        True,
    ]


def test_functions_stand_in_the_users_first_message_where_there_is_no_system_message() -> None:
    told = contents(rendered("wants turns, and no system message", [system("Be kind."), user("Hi")], tools=TOOLS))
    assert [role for role, _ in told] == ["user"]
    places = [told[0][1].index(words) for words in ("Be kind.", "get_weather", "Hi")]
    assert places == sorted(places)


def test_several_system_messages_are_one_and_a_later_one_is_the_users_where_it_stands() -> None:
    messages = [system("One"), system("Two"), user("a"), says("b"), system("Three"), user("c")]
    told = contents(rendered("wants turns, and no system message", messages))
    assert told == [("user", "One\n\nTwo\n\na"), ("assistant", "b"), ("user", "Three\n\nc")]


def test_where_turns_must_alternate_neighbours_are_one_and_the_user_begins() -> None:
    messages = [says("a"), says("b"), user("c"), user("d")]
    told = contents(rendered("wants turns, and no system message", messages))
    assert told == [("user", ""), ("assistant", "a\n\nb"), ("user", "c\n\nd")]


def test_what_a_template_knows_reaches_it_as_it_is() -> None:
    messages = [system("One"), system("Two"), user("a"), user("b"), TWO, result("call_a", "18"), system("Three")]
    told = contents(rendered("knows everything", messages))
    assert [role for role, _ in told] == ["system", "system", "user", "user", "assistant", "tool", "system"]


def test_a_call_that_a_limit_cut_comes_back_to_a_template_that_walks_through_arguments() -> None:
    cut = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Par'}}
    text = rendered("walks through arguments", [user("x"), says("", cut), result("c", "?")])
    assert '<parameter=arguments>\n{"city": "Par\n</parameter>' in text


def test_words_are_told_in_the_models_own_dialect() -> None:
    chat = ChatTemplate(
        TEMPLATES["shows tools, and no calls"][0], special_tokens={}, control_tokens=[], tool_dialect="mistral"
    )
    assert '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}' in chat.render([user("x"), TWO]).text


def test_trying_a_hostile_template_ends_soon() -> None:
    """A rendering that would take for ever, for each of the probes."""
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    assert ChatTemplate(endless, special_tokens={}, control_tokens=[]).needs == frozenset()


def test_functions_reach_a_template_that_calls_them_xml_tools() -> None:
    source = (
        "{% for f in xml_tools or [] %}{{ f.name }}: {{ f.description }} <tool_call>{% endfor %}"
        "{{ messages[0].content }}"
    )
    template = ChatTemplate(source, special_tokens={}, control_tokens=[], tool_dialect="hermes")
    tool = {"type": "function", "function": {"name": "get_time", "description": "Tells the time.", "parameters": {}}}
    rendered = template.render([{"role": "user", "content": "Hi"}], tools=[tool])
    assert rendered.text.startswith("get_time: Tells the time. <tool_call>Hi")
