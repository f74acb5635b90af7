"""Answers held to what `/openapi.json` says of them."""

from jsonschema import Draft202012Validator

from obeaver.api.contract.validation import request_schema


def check(name: str, value: object) -> None:
    """See that a value is what the schema of this name says.

    Raises:
        ValidationError: It is not.
    """
    definitions = request_schema("responses").document["$defs"]
    Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions}).validate(value)
