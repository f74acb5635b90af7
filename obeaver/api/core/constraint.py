"""What an answer must hold to, as a grammar for the engine: which parameters ask for it, and what is wrong."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from obeaver.api.core.answer_grammar import AnswerGrammar, Thinking
from obeaver.api.core.prompt import template_variables
from obeaver.api.core.tool_grammar import CallableFunction, ControlIds, arguments_schema, call_rules, json_calls
from obeaver.api.core.tools import offered_tools, tool_choice
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.engine.grammar.grammar import (
    GrammarCompiler,
    GrammarError,
    Part,
    choice_part,
    grammar_text,
    json_schema_part,
    regex_part,
    user_part,
)
from obeaver.errors import BadRequest
from obeaver.text.tool_calls.dialects import DEFAULT_DIALECT, DIALECTS

EXTENSIONS: Final[Mapping[str, Callable[[Any], Part]]] = {
    "grammar": user_part,
    "regex": regex_part,
    "choice": choice_part,
}
"""Parameters that give the answer's form in other ways than JSON."""

SCHEMA_PATH: Final = "response_format.json_schema.schema"


def check_form(request: dict[str, Any]) -> None:
    """Check that one parameter at most gives the answer's form.

    Raises:
        BadRequest: Names the one that is too many.
    """
    forms = [name for name in ("response_format", *EXTENSIONS) if _gives_form(request, name)]
    beside = forms[0] if forms[1:] else None
    if forms and forms[-1] in EXTENSIONS and offered_tools(request):
        beside = "tools"
    if beside is not None:
        raise BadRequest(f"`{forms[-1]}` cannot stand beside `{beside}`.", param=forms[-1], code="invalid_value")


def takes_compiling(body: object) -> bool:
    """Whether a body may ask for a grammar, which takes from one millisecond to some hundred to compile."""
    return isinstance(body, dict) and any(body.get(name) for name in ("response_format", "tools", *EXTENSIONS))


def grammar_of(request: dict[str, Any], model: LoadedModel, *, think_open: bool) -> str | None:
    """The grammar of the answer, which compiles; None for free text.

    Args:
        request: A valid request.
        model: Answers.
        think_open: The prompt has opened the model's reasoning.

    Raises:
        BadRequest: The model's answers cannot be held to grammars, or not to this one.
    """
    forms = [name for name in ("response_format", *EXTENSIONS) if _gives_form(request, name)]
    may_call = not forms and tool_choice(request).mode == "auto"
    if not forms and not offered_tools(request):
        return None
    if model.grammars is None and may_call:
        return None
    if model.grammars is None:
        raise _unsupported(forms[0] if forms else "tool_choice")
    constraint = _Constraint(request, model, model.grammars, think_open=think_open)
    try:
        return constraint.compiled(_exact(offered_tools(request)))
    except GrammarError:
        _check_form(request, model.grammars)
        functions = _enforceable(request, model.grammars)
    try:
        return constraint.compiled(functions)
    except GrammarError as error:
        raise _refused(error, "tools" if functions else forms[0]) from None


class _Constraint:
    """Everything about a request that shapes its grammar."""

    def __init__(
        self, request: dict[str, Any], model: LoadedModel, compiler: GrammarCompiler, *, think_open: bool
    ) -> None:
        markers = model.facts.think_markers
        self._request = request
        self._dialect = DIALECTS[model.facts.tool_dialect or DEFAULT_DIALECT]
        self._compiler = compiler
        self._control_ids = _control_ids(model, compiler, [*(markers or ()), *self._dialect.markers])
        may_think = think_open or template_variables(request).get("enable_thinking", True)
        thinking = Thinking(*markers, is_open=think_open) if markers and may_think else None
        self._grammar = AnswerGrammar(thinking, self._control_ids)

    def compiled(self, functions: Sequence[CallableFunction]) -> str:
        """The grammar.

        Raises:
            GrammarError: It does not compile.
        """
        grammar = self._put_together(_form(self._request), functions)
        self._compiler.compile(grammar)
        return grammar

    def _put_together(self, form: Part | None, functions: Sequence[CallableFunction]) -> str:
        if form is not None and not functions:
            return self._grammar.form(form)
        choice = tool_choice(self._request).mode
        # Where one function is named, it is called once: a small model would not come to an end.
        several = self._request["parallel_tool_calls"] and choice != "function"
        calls = call_rules(self._dialect, functions, self._control_ids, several=several)
        if choice != "auto":
            return self._grammar.must_call(calls, several=several)
        if form is not None:
            return self._grammar.form_or_calls(form, calls, json_calls(self._dialect, functions))
        return self._grammar.text_or_calls(calls, several=several)


def _gives_form(request: dict[str, Any], name: str) -> bool:
    value = request[name]
    return value is not None and not (name == "response_format" and value["type"] == "text")


def _form(request: dict[str, Any]) -> Part | None:
    """The answer's form.

    Raises:
        GrammarError: It cannot be enforced.
    """
    if _gives_form(request, "response_format"):
        return json_schema_part(_schema(request["response_format"]))
    return next((make(request[name]) for name, make in EXTENSIONS.items() if request[name] is not None), None)


def _schema(response_format: dict[str, Any]) -> dict[str, Any]:
    if response_format["type"] == "json_object":
        return {"type": "object"}
    schema: dict[str, Any] = response_format["json_schema"]["schema"]
    return schema


def _control_ids(model: LoadedModel, compiler: GrammarCompiler, markers: Sequence[str]) -> ControlIds:
    ids = {text: model.tokenizer.id_of(text) for text in markers}
    return {text: i for text, i in ids.items() if i is not None and compiler.is_control(i)}


def _exact(tools: Sequence[dict[str, Any]]) -> list[CallableFunction]:
    return [CallableFunction(tool["function"]["name"], tool["function"].get("parameters", {})) for tool in tools]


def _check_form(request: dict[str, Any], compiler: GrammarCompiler) -> None:
    """Raise a BadRequest that says what is wrong with the answer's form, if it is that."""
    param = next((name for name in EXTENSIONS if request[name] is not None), SCHEMA_PATH)
    try:
        if _gives_form(request, "response_format"):
            compiler.check_schema(_schema(request["response_format"]))
        elif (form := _form(request)) is not None:
            compiler.compile(grammar_text(form))
    except GrammarError as error:
        raise _refused(error, param) from None


def _enforceable(request: dict[str, Any], compiler: GrammarCompiler) -> list[CallableFunction]:
    """The functions, each as far as its parameters can be enforced.

    Where the model may call but need not, and a function is not `strict`, what cannot be enforced is passed over.

    Raises:
        BadRequest: What cannot be enforced must be.
    """
    may_pass_over = tool_choice(request).mode == "auto"
    functions = _exact(offered_tools(request))
    for index, tool in enumerate(offered_tools(request)):
        try:
            compiler.check_schema(arguments_schema(functions[index].parameters))
        except GrammarError as error:
            if tool["function"].get("strict") or not may_pass_over:
                raise _refused(error, f"tools[{request['tools'].index(tool)}].function.parameters") from None
            functions[index] = _eased(functions[index], compiler)
    return functions


def _eased(function: CallableFunction, compiler: GrammarCompiler) -> CallableFunction:
    lenient = CallableFunction(function.name, function.parameters, lenient=True)
    try:
        compiler.compile(grammar_text(json_schema_part(arguments_schema(lenient.parameters), lenient=True)))
    except GrammarError:
        return CallableFunction(function.name, {"type": "object"})
    return lenient


def _unsupported(param: str) -> BadRequest:
    param = "response_format.type" if param == "response_format" else param
    return BadRequest(f"This model's answers cannot be held to `{param}`.", param=param, code="unsupported_value")


def _refused(error: GrammarError, param: str) -> BadRequest:
    where = f" at `{error.pointer}`" if error.pointer else ""
    is_schema = param not in EXTENSIONS
    return BadRequest(
        f"`{param}` cannot be compiled{where}: {error}",
        param=param,
        code="invalid_schema" if is_schema else "invalid_grammar",
    )
