"""References that lead to themselves and never to a value.

`{"$ref": "#/$defs/A"}` where A is the same reference says nothing that could be written; a list whose every item holds
such a list has no end. A grammar of them compiles, and then finds no token to go on with.
"""

from collections import defaultdict
from typing import Any

from obeaver.engine.grammar.schema_needs import needed
from obeaver.engine.grammar.schema_walk import Schema, SchemaRefused, pointer_to, referred, rewritten, subschemas


def without_endless(schema: Schema) -> dict[str, Any]:
    """The schema with `false` in place of what has no end: nothing is valid there.

    Raises:
        SchemaRefused: All of it has none, or a reference leads back to itself at once: what that says, nobody defines.
    """
    endless = _Endless(schema)
    loop = next(
        (pointer for pointer, part in subschemas(schema) if endless.refers(part) and _leads_back(schema, part)), None
    )
    if loop is not None:
        raise SchemaRefused("nothing can satisfy it: it refers to itself and to nothing else", loop)
    if endless.is_in(schema):
        raise SchemaRefused("nothing can satisfy it: it refers to itself without end", endless.culprit(schema))
    cut: dict[str, Any] = rewritten(schema, lambda part, _: False if endless.refers(part) else part)
    return cut


class _Endless:
    """Which references of a document have no end: all but those that can be shown to have one."""

    def __init__(self, root: Schema) -> None:
        found = {str(part["$ref"]): referred(root, part["$ref"]) for _, part in subschemas(root) if "$ref" in part}
        targets = {reference: target for reference, target in found.items() if isinstance(target, dict)}
        used_by = defaultdict(list)
        for reference, target in targets.items():
            for _, part in subschemas(target):
                used_by[str(part.get("$ref"))].append(reference)
        self._references = set(targets)
        pending = list(targets)
        while pending:
            reference = pending.pop()
            if reference in self._references and not self.is_in(targets[reference]):
                self._references.remove(reference)
                pending += used_by[reference]

    def refers(self, part: Schema) -> bool:
        """Whether a subschema is a reference without end."""
        return str(part.get("$ref")) in self._references

    def is_in(self, part: Any) -> bool:
        """Whether every value of a subschema would have no end."""
        return isinstance(part, dict) and (self.refers(part) or any(True for _ in needed(part, self.is_in)))

    def culprit(self, part: Schema, pointer: str = "") -> str:
        """The pointer of a reference without end that every value must follow."""
        for path, child in () if self.refers(part) else needed(part, self.is_in):
            return self.culprit(child, pointer_to(pointer, *path))
        return pointer


def _leads_back(root: Schema, part: Schema) -> bool:
    seen: set[str] = set()
    while isinstance(part, dict) and "$ref" in part:
        reference = str(part["$ref"])
        if reference in seen:
            return True
        seen.add(reference)
        part = referred(root, reference)
    return False
