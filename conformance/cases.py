"""Cases as data: what is asked in the words of the SDKs or of HTTP, and what must be true of the answers."""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from conformance.dialects import BY_NAME, GUARD, NEEDS
from conformance.dialects.dialect import Dialect

FOLDER = Path(__file__).parent / "cases"
SCHEMA = Path(__file__).parent / "cases.schema.json"
MODEL = "{model}"
"""Stands in a case for the id of a model that the server lists."""

LONG = "{long}"
"""Stands in a case for a text that no small model's context takes."""

LONG_TEXT = "beaver " * 40_000
NOT_RECORDED = {"crowd"}
"""Calls that make sense with a live SDK only."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call.

    Attributes:
        call: A method of the SDKs, or `http` for a request that no SDK sends.
        arguments: Its arguments; for `http`: `method`, `path`, `headers` and `json` or `text`.
        status: What the server must answer; `ok` is any from 200 to 299, as the Fetch standard has it.
        extra: What only this kind of call has, such as `tool_results`.
    """

    call: str
    arguments: Mapping[str, Any]
    status: int | str = 200
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One test.

    Attributes:
        name: A sentence: what is true of a server that passes.
        dialect: The protocol that it is asked in.
        feature: Row of the report.
        needs: What the server must offer: one of `NEEDS`.
        steps: Made in this order.
        expect: Step number to paths into its last answer and what must be there.
        relations: What must hold between the answers of several steps.
        clients: Who can make it; empty: everybody.
    """

    name: str
    dialect: Dialect
    feature: str
    needs: str
    steps: tuple[Step, ...]
    expect: Mapping[int, Mapping[str, Any]]
    relations: tuple[str, ...]
    clients: tuple[str, ...]

    @property
    def slug(self) -> str:
        """The name as a word that can stand in a path."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def is_http(self) -> bool:
        """Whether it is made without an SDK."""
        return all(step.call == "http" for step in self.steps)

    @property
    def is_recorded(self) -> bool:
        """Whether its traffic can be sent again."""
        return not any(step.call in NOT_RECORDED for step in self.steps)

    def made_by(self, client: str) -> bool:
        """Whether a client such as `python-async` makes it."""
        return not self.clients or client in self.clients


@functools.cache
def all_cases(folder: Path = FOLDER) -> tuple[Case, ...]:
    """Every case of every file, in order: a folder for each dialect.

    Raises:
        ValueError: A file does not hold to `cases.schema.json`, needs what no dialect has, or two cases have one name.
    """
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    found: list[Case] = []
    for dialect in BY_NAME.values():
        for path in sorted((folder / dialect.name).glob("*.json")):
            document = json.loads(path.read_text(encoding="utf-8"))
            for error in validator.iter_errors(document):
                raise ValueError(f"{path.name}: {error.json_path}: {error.message[:200]}")
            found += _cases(document, dialect)
    for case in found:
        if case.needs not in {*case.dialect.needs, GUARD}:
            raise ValueError(f"{case.name!r} needs {case.needs!r}, which is none of {', '.join(NEEDS)}")
    slugs = [case.slug for case in found]
    if twins := sorted({slug for slug in slugs if slugs.count(slug) > 1}):
        raise ValueError(f"two cases have one name: {', '.join(twins)}")
    return tuple(found)


def _cases(document: Mapping[str, Any], dialect: Dialect) -> Iterator[Case]:
    for group in document["features"]:
        for item in group["cases"]:
            expect = {int(number): value for number, value in item.get("expect", {}).items()}
            yield Case(
                name=item["name"],
                dialect=dialect,
                feature=group["feature"],
                needs=item.get("needs", group["needs"]),
                steps=tuple(_step(step, document.get("defaults", {})) for step in item["steps"]),
                expect=expect,
                relations=tuple(item.get("relations", ())),
                clients=tuple(item.get("clients", ())),
            )


def _step(item: Mapping[str, Any], defaults: Mapping[str, Any]) -> Step:
    known = {"call", "arguments", "status"}
    arguments = {**defaults.get(item["call"], {}), **item.get("arguments", {})}
    # A null takes a default away; what a null itself does is a matter of requests without an SDK.
    arguments = {name: value for name, value in arguments.items() if value is not None}
    extra = {name: value for name, value in item.items() if name not in known}
    return Step(item["call"], arguments, item.get("status", 200), extra)


def filled(value: Any, model: str) -> Any:
    """A value of a case with the model's id where `{model}` stands."""
    if isinstance(value, str):
        return value.replace(MODEL, model).replace(LONG, LONG_TEXT)
    if isinstance(value, Mapping):
        return {name: filled(item, model) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [filled(item, model) for item in value]
    return value


def orders(cases: Sequence[Case], client: str, model: str) -> Iterator[dict[str, Any]]:
    """What a client program is to do, one object for each step; `label` says for which case and step.

    Args:
        cases: Those of one SDK.
        client: Such as `python-async`.
        model: To ask for.
    """
    for case in cases:
        if case.is_http or not case.made_by(client):
            continue
        for number, step in enumerate(case.steps):
            yield {
                "label": f"{case.slug}.{number}",
                "needs": case.needs,
                "call": step.call,
                "arguments": filled(step.arguments, model),
                **filled(step.extra, model),
            }
