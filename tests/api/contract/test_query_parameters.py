"""Parameters of the query are described by schemas that say what is taken."""

from obeaver.api.contract.openapi import openapi_document
from obeaver.api.contract.operations import LIVE, LOADING, PULLING
from obeaver.api.responses.dialect import RESPONSES


def test_each_has_a_schema_of_its_own_kind() -> None:
    document = openapi_document((*LIVE, *LOADING, *PULLING, *RESPONSES.operations), title="x", version="1")
    kinds = {
        parameter["name"]: parameter["schema"]
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }
    yes_or_no = {"type": "string", "enum": ["true", "false", "1", "0", ""]}
    assert kinds == {
        "stream": yes_or_no,
        "wait": yes_or_no,
        "starting_after": {"type": "integer", "minimum": 0, "maximum": 10**9},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
        "order": {"type": "string", "enum": ["desc", "asc", ""]},
        "after": {"type": "string"},
        "before": {"type": "string"},
    }
