"""Random JSON Schemas, of kinds that people send, with the traps of each kind."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

ATOMS = (
    *("a", "b", "Z", "0", "-", "é", " ", "/", ",", ":", "~", "&", "<", "\\.", "\\/", "\\-", '"', "\\\\"),
    *("\\d", "\\D", "\\w", "\\W", "\\s", "\\S", ".", "\\n", "\\t", "\\x22", "\\u005c", "\\x41", "\\x09", "\\u00e9"),
)
CLASSES = (
    *(
        '[^"]',
        "[^\\\\]",
        '[^"\\\\]',
        '[^<>"\\\\]',
        '[^\\\\/:*?"<>|]',
        "[\\x00-\\x1f]",
        "[\\x00-\\x20]",
        "[^\\x00-\\x1f]",
    ),
    *("[^,;]", "[^\\n]", "[^'\"]", '[^\\s"]', "[^\\S\\\\]", "[^\\D]", "[\\W]", "[^\\W_]", "[a-z]", "[A-Za-z0-9_.-]"),
    *("[!-~]", "[ -~]", "[^a-z]", "[\\s\\S]", "[\\d\\D]", "[&&]", "[a&&b]", "[+--b]", "[[a]", "[:alpha:]", "[^\\x7f]"),
    *(
        '["]',
        "[\\\\]",
        "[^\\x22\\x5c]",
        "[\\u0000-\\uffff]",
        "[^\\u0000-\\u001f\\u007f]",
        "[#-\\[]",
        "[^\\t\\r\\n]",
        "[.]",
    ),
)
TIMES = ("", "", "", "?", "*", "+", "{2}", "{1,3}", "{0,2}", "{2,}", "+?", "*?")
FORMATS = (
    *("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"),
    *("json-pointer", "uri-reference", "iri", "idn-email"),
)
NAMES = ("a", "b", "id", "na me", 'q"', "b\\s", "é", "x-1", "", "a/b", "~0", "$ref", "type")
TEXTS = ("", "a", "yes", 'say "x"', "back\\slash", "tab\t", "line\n", "é", "\u2028", "😀", "</parameter>", "<|im_end|>")
NUMBERS = (0, 1, -1, 7, 0.5, -0.25, 1.0, 100, -40, 1e3, 12345678, 0.001, 3.14, 2**53, -(2**40), 1e-7, 1e16)


def random_schema(random: Random) -> Schema:
    """A schema of an object or, seldom, of something else; definitions come with it."""
    names = random.sample(("A", "B", "C"), random.randint(0, 2))
    maker = _Maker(random, names)
    schema = maker.object(0) if random.random() < 0.8 else maker.any(0)
    if names:
        schema["$defs"] = {name: maker.any(1) for name in names}
    return schema


def random_pattern(random: Random) -> str:
    """A pattern: pieces in a row, some in groups, most with anchors."""
    pieces = "".join(_piece(random) for _ in range(random.randint(1, 3)))
    if random.random() < 0.2:
        pieces = f"(?:{pieces}|{_piece(random)})"
    start, end = random.choice((("^", "$"), ("^", "$"), ("^", "$"), ("^", ""), ("", "$"), ("", "")))
    return start + pieces + end


def _piece(random: Random) -> str:
    return random.choice(CLASSES if random.random() < 0.6 else ATOMS) + random.choice(TIMES)


class _Maker:
    def __init__(self, random: Random, definitions: list[str]) -> None:
        self._random = random
        self._definitions = definitions

    def any(self, depth: int) -> Schema:
        kinds: list[Callable[[int], Schema]] = [self.string, self.string, self.string, self.number, self.integer]
        kinds += [self.literal, self.plain, self.reference]
        if depth < 3:
            kinds += [self.object, self.array, self.joined, self.joined]
        return self._random.choice(kinds)(depth)

    def string(self, _depth: int) -> Schema:
        random = self._random
        schema: Schema = {"type": "string"} if random.random() < 0.9 else {"type": ["string", "null"]}
        if random.random() < 0.6:
            schema["pattern"] = random_pattern(random)
        if random.random() < 0.2:
            schema["format"] = random.choice(FORMATS)
        if random.random() < 0.25:
            schema["minLength"] = random.choice((0, 1, 2, 3, 2.0))
        if random.random() < 0.25:
            schema["maxLength"] = random.choice((1, 2, 5, 3.0))
        return schema

    def number(self, depth: int) -> Schema:
        return self._bounded({"type": "number"}) if depth % 2 else self._bounded({"type": ["number", "boolean"]})

    def integer(self, _depth: int) -> Schema:
        return self._bounded({"type": "integer"})

    def _bounded(self, schema: Schema) -> Schema:
        random = self._random
        for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if random.random() < 0.25:
                schema[name] = random.choice(NUMBERS)
        if random.random() < 0.25:
            schema["multipleOf"] = random.choice((1, 2, 3, 7, 0.5, 0.01, 0.1, 1.5, 10, 100))
        return schema

    def literal(self, _depth: int) -> Schema:
        random = self._random
        values: tuple[Any, ...] = (*TEXTS, *NUMBERS, None, True, False, [], {}, [1, "a"], {"a": 1, 'q"': [None]})
        if random.random() < 0.5:
            return {"const": random.choice(values)}
        return {"enum": random.sample(values, random.randint(1, 4))}

    def plain(self, _depth: int) -> Schema:
        return self._random.choice(({"type": "boolean"}, {"type": "null"}, {"type": "integer"}, {"type": "string"}))

    def reference(self, depth: int) -> Schema:
        if not self._definitions:
            return self.string(depth)
        return {"$ref": f"#/$defs/{self._random.choice(self._definitions)}"}

    def array(self, depth: int) -> Schema:
        random = self._random
        schema: Schema = {"type": "array"}
        if random.random() < 0.8:
            schema["items"] = self.any(depth + 1) if random.random() < 0.9 else False
        if random.random() < 0.3:
            schema["prefixItems"] = [self.any(depth + 1) for _ in range(random.randint(1, 2))]
        if random.random() < 0.3:
            schema["minItems"] = random.choice((0, 1, 2, 3))
        schema["maxItems"] = random.choice((1, 2, 3, 4.0))
        if random.random() < 0.1:
            schema["additionalItems"] = False
        return schema

    def object(self, depth: int) -> Schema:
        random = self._random
        names = random.sample(NAMES, random.randint(0 if depth else 1, 3))
        schema: Schema = {"type": "object", "properties": {name: self.any(depth + 1) for name in names}}
        if names and random.random() < 0.8:
            schema["required"] = random.sample(names, random.randint(1, len(names)))
        if random.random() < 0.25:
            patterns = {random_pattern(random): self.any(depth + 1) for _ in range(random.randint(1, 2))}
            schema["patternProperties"] = patterns
            if random.random() < 0.5:
                del schema["properties"]
                schema.pop("required", None)
        if random.random() < 0.5:
            schema["additionalProperties"] = random.choice((False, True, self.any(depth + 1)))
        if random.random() < 0.1:
            schema["minProperties"] = random.choice((0, 1, 2))
        if random.random() < 0.1:
            schema["maxProperties"] = random.choice((1, 2, 3))
        return schema

    def joined(self, depth: int) -> Schema:
        random = self._random
        word = random.choice(("anyOf", "anyOf", "allOf", "oneOf"))
        if word == "allOf":
            same = random.choice((self.string, self.object, self.number, self.array, self.any))
            branches = [same(depth + 1) for _ in range(2)]
        else:
            branches = [self.any(depth + 1) for _ in range(random.randint(1, 3))]
        schema: Schema = {word: branches}
        if random.random() < 0.2:
            schema.update(random.choice((self.string, self.object, self.integer))(depth + 1))
        return schema
