"""The compiled validator and the one that reports accept the same bodies: a body that only the first accepts would be
served though it is wrong.
"""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from obeaver.api.contract.validation import request_schema

REQUESTS = {
    "chat_completion": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "stop": ["a"],
        "logit_bias": {"1": 2},
    },
    "completion": {"prompt": ["a"], "stop": "b", "echo": True},
    "response_request": {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "a"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {}}},
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low"},
    },
    "embeddings": {"input": ["a"], "encoding_format": "base64", "dimensions": 3},
    "rerank": {"query": "a", "documents": ["b"]},
    "tokenize": {"prompt": "a"},
    "detokenize": {"tokens": [1]},
    "load_model": {"alias": "a"},
}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**40), max_value=10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "user", "tool", "text", "function", "auto", "none", "x" * 70, "a b", "é\n", "-1", "007"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "name", "function", "text", "role", "content", "1", "schema"]), inner
        )
    ),
    max_leaves=6,
)


def agree(name: str, body: object) -> None:
    document = request_schema(name).document
    compiled = jsonschema_rs.Draft202012Validator(document).is_valid(body)
    assert compiled == Draft202012Validator(document).is_valid(body), body


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a value: its container and its key."""
    if not isinstance(value, dict | list):
        return []
    keys = value if isinstance(value, dict) else range(len(value))
    return [place for key in keys for place in [(value, key), *places(value[key])]]


@pytest.mark.parametrize("name", REQUESTS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_value_in_the_wrong_place_is_judged_alike(name: str, data: st.DataObject) -> None:
    body = json.loads(json.dumps(REQUESTS[name]))
    known = sorted(request_schema(name).document["properties"])
    if data.draw(st.booleans()):
        body[data.draw(st.sampled_from(known))] = data.draw(VALUES)
    else:
        container, key = data.draw(st.sampled_from(places(body)))
        container[key] = data.draw(VALUES)
    agree(name, body)


@pytest.mark.parametrize("name", REQUESTS)
def test_the_requests_of_these_tests_are_valid(name: str) -> None:
    assert Draft202012Validator(request_schema(name).document).is_valid(REQUESTS[name])
