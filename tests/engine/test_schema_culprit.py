"""How long is looked for the part of a schema that is at fault: work is counted, time is not."""

from typing import Any

from obeaver.engine.grammar.schema_culprit import culprit
from obeaver.engine.grammar.schema_walk import Schema

WRONG = "it is wrong"
NOTHING = "Unsatisfiable schema"


def object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def reason_of(part: Schema) -> str | None:
    return WRONG if "wrong" in str(part) else None


def test_the_innermost_part_that_fails_is_at_fault() -> None:
    schema = object_of(a=object_of(b={"type": "wrong"}), c={"type": "string"})
    assert culprit(schema, WRONG, reason_of) == ("/properties/a/properties/b", WRONG)


def test_the_search_ends_when_much_was_compiled_and_tells_what_it_has_found() -> None:
    ballast = {"description": "x" * 400_000}
    schema = object_of(a=object_of(b=object_of(c={"type": "wrong"} | ballast)))
    tried: list[Schema] = []

    def counting(part: Schema) -> str | None:
        tried.append(part)
        return reason_of(part)

    found = culprit(schema, WRONG, counting)
    assert found == ("/properties/a/properties/b", WRONG)
    assert len(tried) == 2
    assert culprit(schema, WRONG, counting) == found


def test_a_schema_without_values_is_searched_no_longer_either() -> None:
    schema: dict[str, Any] = {"description": "x" * 400_000, "not": {}}
    for _ in range(5):
        schema = object_of(a=schema) | {"required": ["a"]}
    num_tried = 0

    def barren(_part: Schema) -> str | None:
        nonlocal num_tried
        num_tried += 1
        return NOTHING

    assert culprit(schema, NOTHING, barren) == culprit(schema, NOTHING, barren)
    assert num_tried == 4
