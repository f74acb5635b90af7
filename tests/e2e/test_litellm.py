"""LiteLLM against a real server: by the words of a refusal it knows that a prompt was too long."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
from support.server_process import ServerProcess

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("litellm") is None, reason="litellm is not installed: pip install -e '.[clients]'"),
]

# In a program of its own: importing it takes seconds and changes the process.
PROGRAM = """
import os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

url, kind = sys.argv[1:]
where = {"api_base": url, "api_key": "unused", "num_retries": 0}
long = "word " * 9000
try:
    if kind == "chat":
        litellm.completion("openai/any", messages=[{"role": "user", "content": long}], **where)
    elif kind == "stream":
        list(litellm.completion("openai/any", messages=[{"role": "user", "content": long}], stream=True, **where))
    elif kind == "schema":
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {"type": "null"}}}}
        litellm.completion("openai/any", messages=[{"role": "user", "content": "Hi"}], response_format=form, **where)
    answer = litellm.completion("openai/any", messages=[{"role": "user", "content": "Hi"}], max_tokens=5, **where)
    print("answered" if answer.choices[0].message.content else "nothing")
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("chat", "ContextWindowExceededError"),
        ("stream", "ContextWindowExceededError"),
        ("schema", "BadRequestError"),
        ("short", "answered"),
    ],
)
def test_a_prompt_that_is_too_long_is_its_own_kind_of_error(server: ServerProcess, kind: str, outcome: str) -> None:
    words = [sys.executable, "-c", PROGRAM, server.url + "/v1", kind]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines() or [done.stderr])[-1] == outcome
