"""No parameter is ignored in silence: `parameters.json` says of each which test shows what it does.

`refused` stands for a parameter that gets a 400, `unused` for one that is taken and changes nothing, as its description
says. Both are shown here.
"""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from obeaver.api.contract.validation import request_schema

ROOT = Path(__file__).parents[3]
SHOWN: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("parameters.json").read_text("utf-8"))
PATHS = {"chat_completion": "/v1/chat/completions", "completion": "/v1/completions"}
BODIES: dict[str, dict[str, Any]] = {
    "chat_completion": {"messages": [{"role": "user", "content": "Hi"}]},
    "completion": {"prompt": "Hi"},
}
VALUES = {"string": "x", "object": {"x": "y"}, "boolean": True}


def rows(*kinds: str) -> list[tuple[str, str]]:
    """Request and parameter of the rows of a kind; of none, those that name a test."""
    return [
        (request, name)
        for request, shown in SHOWN.items()
        for name, how in shown.items()
        if how in kinds or (not kinds and "::" in how)
    ]


@pytest.mark.parametrize("request_name", PATHS)
def test_every_parameter_of_a_request_has_its_row(request_name: str) -> None:
    assert list(SHOWN[request_name]) == list(request_schema(request_name).document["properties"])


def test_every_row_is_of_a_known_kind() -> None:
    assert len(rows()) + len(rows("refused", "unused")) == sum(map(len, SHOWN.values()))


@pytest.mark.parametrize(("request_name", "name"), rows())
def test_the_test_that_a_row_names_is_there_and_speaks_of_the_parameter(request_name: str, name: str) -> None:
    path, *names = SHOWN[request_name][name].split("::")
    text = (ROOT / path).read_text("utf-8")
    found = [node for node in ast.walk(ast.parse(text)) if getattr(node, "name", None) == names[-1]]
    assert len(found) == 1, f"{path} has no test {names[-1]}"
    assert re.search(rf"\b{name}\b", speech(text, found[0]))


def speech(text: str, test: ast.AST) -> str:
    """The lines of a test with its decorators, and whatever in its file belongs to no test."""
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    others = [node for node in functions if node.name.startswith("test_") and node.name != getattr(test, "name", None)]
    silent = {line for node in others for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return "\n".join(line for number, line in enumerate(text.splitlines(), start=1) if number not in silent)


@pytest.mark.parametrize(("request_name", "name"), rows("refused"))
async def test_what_cannot_be_honoured_is_a_400_that_says_so(serve: Any, request_name: str, name: str) -> None:
    async with serve() as served:
        reply = await served.post(PATHS[request_name], **BODIES[request_name], **{name: {"x": 1}})
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, name, "unsupported_parameter")
    assert request_schema(request_name).document["properties"][name]["description"] in reply.error["message"]


@pytest.mark.parametrize(("request_name", "name"), rows("unused"))
async def test_what_changes_nothing_is_taken_and_its_description_says_so(
    serve: Any, request_name: str, name: str
) -> None:
    schema = request_schema(request_name).document["properties"][name]
    assert schema["description"].startswith("Accepted")
    async with serve() as served:
        plain = await served.post(PATHS[request_name], **BODIES[request_name])
        given = await served.post(PATHS[request_name], **BODIES[request_name], **{name: VALUES[schema["type"]]})
    assert (given.status, given.json()["choices"]) == (200, plain.json()["choices"])
