"""Templates by name, and the one that a conversation gets."""

import pytest

from obeaver.models.template_choice import template_of
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
