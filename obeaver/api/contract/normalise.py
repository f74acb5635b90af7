"""What a JSON Schema says about values that are already there, or not: nulls, defaults, whole numbers.

`jsonschema` only judges; these walks change. They follow `properties`, `items` and local `$ref`s, and so never reach
into free-form values such as a tool's own schema.
"""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def resolve(schema: Schema, document: Schema) -> Schema:
    """The schema itself, or what its `$ref` (`#/$defs/Name`) names in the document."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    resolved: Schema = document["$defs"][reference.removeprefix("#/$defs/")]
    return resolved


def without_nulls(value: Any, schema: Schema, document: Schema) -> Any:
    """A copy without the known properties that are null: null means "not given". Synonyms become what they mean."""
    schema = resolve(schema, document)
    if isinstance(value, list) and "items" in schema:
        return [without_nulls(item, schema["items"], document) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    properties = schema["properties"]
    meant = {name: _meant(item, resolve(properties.get(name, {}), document)) for name, item in value.items()}
    return {
        name: without_nulls(item, properties.get(name, {}), document)
        for name, item in meant.items()
        if item is not None or name not in properties
    }


def _meant(value: Any, schema: Schema) -> Any:
    """What a value means that clients of other servers send for it (`x-synonyms`), such as -1 for "no limit"."""
    for synonym in schema.get("x-synonyms", ()):
        # True is 1 to Python.
        if value == synonym["given"] and isinstance(value, bool) == isinstance(synonym["given"], bool):
            return synonym["means"]
    return value


def completed(value: Any, schema: Schema, document: Schema) -> Any:
    """A copy of a valid value with its defaults filled in and every integer an `int`: JSON Schema takes 1.0 for one."""
    schema = resolve(schema, document)
    if isinstance(value, float) and schema.get("type") == "integer":
        return int(value)
    if isinstance(value, list) and "items" in schema:
        return [completed(item, schema["items"], document) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    properties = schema["properties"]
    given = {name: completed(item, properties.get(name, {}), document) for name, item in value.items()}
    # The given ones keep their order, since templates print tools as they are.
    defaults = {name: item["default"] for name, item in properties.items() if "default" in item}
    return given | {name: default for name, default in defaults.items() if name not in given}
