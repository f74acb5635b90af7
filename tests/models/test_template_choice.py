"""Templates by name, and the one that a conversation gets."""

from collections.abc import Mapping

import pytest

from obeaver.models.template_choice import template_of, template_of_turns
from obeaver.text.chat_template import ChatTemplate

PLAIN = "{% for m in messages %}{{ m.content }};{% endfor %}"
WITH_TOOLS = (
    "{% macro name(t) %}{{ t.function.name }}{% endmacro %}{% for t in tools %}{{ name(t) }} {% endfor %}" + PLAIN
)
TOOL = {"type": "function", "function": {"name": "get_time", "description": "", "parameters": {}}}


def test_the_template_for_tools_is_used_with_tools_only() -> None:
    source = template_of({"default": PLAIN, "tool_use": WITH_TOOLS, "rag": "{{ documents }}"})
    assert source is not None
    template = ChatTemplate(source, special_tokens={}, control_tokens=[])
    messages = [{"role": "user", "content": "Hi"}]
    assert template.render(messages).text == "Hi;"
    assert template.render(messages, tools=[TOOL]).text == "get_time Hi;"


@pytest.mark.parametrize(
    ("named", "expected"),
    [({}, None), ({"default": "a"}, "a"), ({"tool_use": "b"}, "b"), ({"default": "a", "tool_use": 5}, "a")],
)
def test_one_template_is_taken_as_it_is(named: dict[str, object], expected: str | None) -> None:
    assert template_of(named) == expected


CHATML = {
    "system": "<|im_start|>system\n{Content}<|im_end|>",
    "user": "<|im_start|>user\n{Content}<|im_end|>",
    "assistant": "<|im_start|>assistant\n{Content}<|im_end|>",
    "prompt": "<|im_start|>user\n{Content}<|im_end|>\n<|im_start|>assistant\n",
}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "{Content} {{ 1 }}?"},
    {"role": "assistant", "content": "é"},
    {"role": "user", "content": "And?"},
]


def rendered(turns: Mapping[str, object], messages: list[dict[str, str]], *, open_answer: bool = True) -> str:
    source = template_of_turns(turns)
    assert source is not None
    template = ChatTemplate(source, special_tokens={}, control_tokens=[])
    return template.render(messages, add_generation_prompt=open_answer).text


def test_turns_of_foundry_local_are_joined_and_the_answer_is_opened() -> None:
    said = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in TALK)
    assert rendered(CHATML, TALK) == f"{said}<|im_start|>assistant\n"
    assert rendered(CHATML, TALK, open_answer=False) == said


def test_a_prompt_alone_is_every_user_s_turn_and_answers_stand_as_they_are() -> None:
    turns: dict[str, object] = {"prompt": '<|user|>\n{Content}<|end|>\n<|"é😀|>\n', "assistant": "{Content}<|end|>\n"}
    expected = '<|user|>\nHi<|end|>\n<|"é😀|>\nHo<|end|>\n<|user|>\nAnd?<|end|>\n<|"é😀|>\n'
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}, TALK[-1]]
    assert rendered(turns, talk) == expected


@pytest.mark.parametrize("turns", [{}, {"prompt": 5}, {"prompt": "no place"}, {"user": "{Content}"}])
def test_turns_that_say_too_little_are_no_template(turns: dict[str, object]) -> None:
    assert template_of_turns(turns) is None
