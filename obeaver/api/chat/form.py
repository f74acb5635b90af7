"""The form that a chat request gives its answer: by OpenAI's parameter, or by one of three of ours."""

from typing import Any

from obeaver.api.core.answer_form import AnswerForm, ChoiceForm, GrammarForm, JsonForm, RegexForm
from obeaver.api.core.tools import Tools
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
    if response_format is None or response_format["type"] == "text":
        return None
    is_any = response_format["type"] == "json_object"
    schema = {"type": "object"} if is_any else response_format["json_schema"]["schema"]
    return JsonForm(schema, at="response_format", schema_at="response_format.json_schema.schema")


def _extensions(request: dict[str, Any]) -> list[AnswerForm]:
    forms: list[AnswerForm] = []
    if request["grammar"] is not None:
        forms.append(GrammarForm(request["grammar"], at="grammar"))
    if request["regex"] is not None:
        forms.append(RegexForm(request["regex"], at="regex"))
    if request["choice"] is not None:
        forms.append(ChoiceForm(tuple(request["choice"]), at="choice"))
    return forms
