"""The form that a chat request gives its answer: by OpenAI's parameter, or by one of three of ours."""

from typing import Any

from obeaver.api.core.answer_form import AnswerForm, ChoiceForm, GrammarForm, JsonForm, RegexForm
from obeaver.api.core.tools import Tools
from obeaver.engine.grammar.schema_walk import types_of
from obeaver.errors import BadRequest


def parse_form(request: dict[str, Any], tools: Tools) -> AnswerForm | None:
    """The form, if the request gives any.

    Raises:
        BadRequest: Two parameters give one, or one that cannot stand beside tools.
    """
    forms = [form for form in (_json_form(request["response_format"]), *_extensions(request)) if form is not None]
    if not forms:
        return None
    form, beside = forms[-1], forms[0].at if forms[1:] else None
    if tools.offered and not isinstance(form, JsonForm):
        beside = "tools"
    if beside is not None:
        raise BadRequest(f"`{form.at}` cannot stand beside `{beside}`.", param=form.at, code="invalid_value")
    return form


def _json_form(response_format: dict[str, Any] | None) -> JsonForm | None:
    if response_format is None:
        return None
    kind, own, others = (response_format.get(name) for name in ("type", "json_schema", "schema"))
    if own is not None and (kind != "json_schema" or others is not None):
        raise _misplaced("json_schema", "needs the type `json_schema`, and no `schema` beside it")
    if kind == "text":
        if others is not None:
            raise _misplaced("schema", "needs the type `json_object` or `json_schema`")
        return None
    if own is not None:
        return JsonForm(own["schema"], at="response_format", schema_at="response_format.json_schema.schema")
    schema: dict[str, Any] = others or {}
    if kind == "json_object":
        if types_of(schema) and "object" not in types_of(schema):
            raise _misplaced("schema", "is of no object, and so needs the type `json_schema`")
        schema = {**schema, "type": "object"}
    return JsonForm(schema, at="response_format", schema_at="response_format.schema")


def _misplaced(name: str, why: str) -> BadRequest:
    param = f"response_format.{name}"
    return BadRequest(f"`{param}` {why}.", param=param, code="invalid_value")


def _extensions(request: dict[str, Any]) -> list[AnswerForm]:
    forms: list[AnswerForm] = []
    if request["grammar"] is not None:
        forms.append(GrammarForm(request["grammar"], at="grammar"))
    if request["regex"] is not None:
        forms.append(RegexForm(request["regex"], at="regex"))
    if request["choice"] is not None:
        forms.append(ChoiceForm(tuple(request["choice"]), at="choice"))
    return forms
