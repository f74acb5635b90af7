"""Answers held to what `/openapi.json` says of them."""

from jsonschema import Draft202012Validator

from obeaver.api.contract.schema_files import answer_schemas


def check(name: str, value: object) -> None:
    """See that a value is what the schema of this name says.

    Raises:
        ValidationError: It is not.
    """
    definitions = answer_schemas()
    Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions}).validate(value)
