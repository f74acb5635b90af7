"""`/openapi.json` and `/docs` say everything: each route, each parameter, each error."""

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from obeaver import errors
from obeaver.api.contract.openapi import errors_of, openapi_document
from obeaver.api.contract.operations import Operation
from obeaver.api.contract.validation import request_schema
from obeaver.api.routes import SERVE
from obeaver.api.system.docs import docs_page

DOCUMENT = openapi_document(SERVE, title="obeaver", version="1.2.3")
PAGE = docs_page(DOCUMENT, base_url="http://localhost:18000")


def error_classes(root: type[errors.ApiError]) -> list[type[errors.ApiError]]:
    return [root, *(found for sub in root.__subclasses__() for found in error_classes(sub))]


class Tags(HTMLParser):
    """Checks that what is opened is closed, and collects links and ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [value for name in ("href", "src") if (value := values.get(name))]
        self.ids += [value for value in [values.get("id")] if value]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("operation", SERVE, ids=lambda operation: operation.id)
def test_every_route_is_described(operation: Operation) -> None:
    path = operation.path.replace(":path", "")
    described = DOCUMENT["paths"][path][operation.method.lower()]
    assert described["summary"] == operation.summary
    assert f"{operation.method} {path}</code>" in PAGE
    assert f"curl -s http://localhost:18000{path.replace('{id}', 'id')}" in PAGE


DESCRIBED = [error for error in error_classes(errors.ApiError) if error.default_code]


@pytest.mark.parametrize("error", DESCRIBED, ids=lambda error: error.__name__)
def test_every_error_is_described_with_its_status(error: type[errors.ApiError]) -> None:
    assert error.default_code in {code for operation in SERVE for code in errors_of(operation).get(error.status, [])}
    assert f"<code>{error.default_code}</code>" in PAGE


def codes_in_the_source() -> set[str]:
    """What is given as `code=` anywhere in the product."""
    calls = (
        node
        for module in (Path(__file__).parents[2] / "obeaver").rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    )
    values = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "code"]
    return {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}


def test_every_code_in_the_source_is_described() -> None:
    described = {code for operation in SERVE for codes in errors_of(operation).values() for code in codes}
    found = codes_in_the_source()
    assert {"invalid_json", "model_not_found"} <= found
    assert found <= described


def test_no_code_is_described_twice() -> None:
    for operation in SERVE:
        codes = [code for codes in errors_of(operation).values() for code in codes]
        assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("name", request_schema("chat_completion").document["properties"])
def test_every_parameter_is_described_as_it_is_validated(name: str) -> None:
    published = DOCUMENT["components"]["schemas"]["ChatCompletionRequest"]["properties"][name]
    validated = request_schema("chat_completion").document["properties"][name]
    assert published.get("default") == validated.get("default")
    assert validated["description"] in published["description"]
    assert f"<td><code>{name}</code>" in PAGE


def test_parameters_that_are_not_required_may_be_null() -> None:
    schema = {
        "$ref": "#/components/schemas/ChatCompletionRequest",
        "components": DOCUMENT["components"],
    }
    nulls = dict.fromkeys(request_schema("chat_completion").document["properties"])
    Draft202012Validator(schema).validate(nulls | {"messages": [{"role": "user", "content": "Hi", "name": None}]})


def test_every_schema_is_valid_and_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert references <= schemas.keys()
    assert "$defs" not in json.dumps(DOCUMENT)


def test_the_page_is_well_formed_complete_in_itself_and_all_its_links_lead_somewhere() -> None:
    tags = Tags(PAGE)
    assert tags.open == []
    assert len(set(tags.ids)) == len(tags.ids)
    assert {link for link in tags.links if not link.startswith("#")} == {"/openapi.json"}
    assert {link[1:] for link in tags.links if link.startswith("#")} <= set(tags.ids)
    assert "<script" not in PAGE


def test_nothing_in_a_document_can_become_markup() -> None:
    def evil(value: Any) -> Any:
        return value.replace("Answer a conversation", "<img src=x>") if isinstance(value, str) else value

    document = json.loads(json.dumps(DOCUMENT), object_hook=lambda item: {key: evil(item[key]) for key in item})
    assert "&lt;img src=x&gt;" in docs_page(document, base_url="http://localhost")
    assert "<img" not in docs_page(document, base_url="http://localhost")
