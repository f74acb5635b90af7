"""`reasoning_effort` in the words of each family's template."""

from typing import Any

import pytest

from obeaver.text.thinking_switches import thinking_variables, thinks

GPT_OSS = 'reasoning_effort "medium"'
M3 = 'thinking_mode == "enabled" "disabled" "adaptive"'


@pytest.mark.parametrize(
    ("effort", "source", "names", "variables"),
    [
        ("none", "", {"enable_thinking", "tools"}, {"enable_thinking": False}),
        ("high", "", {"enable_thinking", "tools"}, {"enable_thinking": True}),
        ("low", "", {"thinking"}, {"thinking": True}),
        ("high", GPT_OSS, {"reasoning_effort"}, {"reasoning_effort": "high"}),
        ("xhigh", GPT_OSS, {"reasoning_effort"}, {"reasoning_effort": "high"}),
        ("none", GPT_OSS, {"reasoning_effort"}, {"reasoning_effort": "low"}),
        ("none", "['high', 'low', 'no_think']", {"reasoning_effort"}, {"reasoning_effort": "no_think"}),
        ("medium", "['high', 'low', 'no_think']", {"reasoning_effort"}, {"reasoning_effort": "high"}),
        ("medium", "['low', 'high', 'max']", {"thinking_effort"}, {"thinking_effort": "high"}),
        ("xhigh", "['low', 'high', 'max']", {"thinking_effort"}, {"thinking_effort": "max"}),
        (
            "none",
            "['low', 'high', 'max']",
            {"thinking", "thinking_effort"},
            {"thinking": False, "thinking_effort": "low"},
        ),
        ("minimal", '["low", "minimal"]', {"reasoning_effort"}, {"reasoning_effort": "minimal"}),
        ("xhigh", "== 'max'", {"reasoning_effort", "thinking"}, {"reasoning_effort": "max", "thinking": True}),
        ("none", "", {"thinking_budget"}, {"thinking_budget": 0}),
        ("low", "", {"thinking_budget"}, {"thinking_budget": 1024}),
        ("high", "", {"thinking_budget"}, {}),
        ("none", M3, {"thinking_mode"}, {"thinking_mode": "disabled"}),
        ("low", M3, {"thinking_mode"}, {"thinking_mode": "adaptive"}),
        ("medium", M3, {"thinking_mode"}, {"thinking_mode": "enabled"}),
        ("none", "== 'chat'", {"thinking_mode"}, {}),
        (None, M3, {"thinking_mode"}, {}),
        ("high", "", {"tools"}, {}),
        (None, "", {"enable_thinking", "reasoning_effort", "thinking_budget"}, {}),
    ],
)
def test_an_effort_becomes_the_variables_that_the_template_reads(
    effort: str | None, source: str, names: set[str], variables: dict[str, Any]
) -> None:
    assert thinking_variables(effort, enabled=None, source=source, names=names) == variables


def test_thinking_may_be_asked_for_or_not_without_an_effort() -> None:
    names = {"thinking", "thinking_budget"}
    assert thinking_variables(None, enabled=True, source="", names=names) == {"thinking": True}
    assert thinking_variables(None, enabled=True, source=M3, names={"thinking_mode"}) == {"thinking_mode": "enabled"}
    assert thinking_variables("high", enabled=False, source="", names=names) == {
        "thinking": False,
        "thinking_budget": 0,
    }


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, True),
        ({"enable_thinking": False}, False),
        ({"thinking": True}, True),
        ({"thinking_budget": 0}, False),
        ({"thinking_mode": "disabled"}, False),
        ({"thinking_mode": "adaptive"}, True),
    ],
)
def test_variables_tell_whether_a_model_thinks(variables: dict[str, Any], expected: bool) -> None:
    assert thinks(variables) is expected
