"""What an answer must hold to, as a grammar for the engine: what of a conversation asks for it, and what is wrong."""

from collections.abc import Sequence

from obeaver.api.core.answer_form import AnswerForm, ChoiceForm, GrammarForm, JsonForm, RegexForm
from obeaver.api.core.answer_grammar import AnswerGrammar, Thinking
from obeaver.api.core.conversation import Conversation
from obeaver.api.core.prompt import may_think
from obeaver.api.core.tool_grammar import CallableFunction, arguments_schema, call_rules, json_calls
from obeaver.api.core.tools import Tool
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


def grammar_of(conversation: Conversation, model: LoadedModel, *, think_open: bool) -> str | None:
    """The grammar of the answer, which compiles; None for free text.

    Args:
        conversation: What is to be answered.
        model: Answers.
        think_open: The prompt has opened the model's reasoning.

    Raises:
        BadRequest: The model's answers cannot be held to grammars, or not to this one.
    """
    form, tools = conversation.form, conversation.tools
    if form is None and not tools.offered:
        return None
    if model.grammars is None:
        if form is None and tools.choice.mode == "auto":
            return None
        raise _unsupported(form)
    constraint = _Constraint(conversation, model, model.grammars, think_open=think_open)
    try:
        return constraint.compiled([CallableFunction(tool.name, tool.parameters or {}) for tool in tools.offered])
    except GrammarError:
        if form is not None:
            _check_form(form, model.grammars)
        functions = [
            _enforceable(tool, model.grammars, may_pass_over=tools.choice.mode == "auto") for tool in tools.offered
        ]
    try:
        return constraint.compiled(functions)
    except GrammarError as error:
        raise _refused(error, form, at="tools" if form is None or functions else form.at) from None


class _Constraint:
    """Everything about a conversation that shapes its grammar."""

    def __init__(
        self, conversation: Conversation, model: LoadedModel, compiler: GrammarCompiler, *, think_open: bool
    ) -> None:
        markers = model.facts.think_markers
        self._conversation = conversation
        self._several_calls = conversation.tools.several(model.chat_template)
        self._dialect = DIALECTS[model.facts.tool_dialect or DEFAULT_DIALECT]
        self._compiler = compiler
        ids = model.tokenizer.added_ids_in([*(markers or ()), *self._dialect.markers])
        self._control_ids = {text: token_id for text, token_id in ids.items() if compiler.is_control(token_id)}
        thinks = markers is not None and may_think(model.chat_template, conversation, think_open=think_open)
        thinking = Thinking(*markers, is_open=think_open) if markers and thinks else None
        self._grammar = AnswerGrammar(thinking, self._control_ids, self._dialect.channels)

    def compiled(self, functions: Sequence[CallableFunction]) -> str:
        """The grammar.

        Raises:
            GrammarError: It does not compile.
        """
        form = None if self._conversation.form is None else _part(self._conversation.form)
        grammar = self._put_together(form, functions)
        if form is not None and (alone := grammar_text(form)) != grammar:
            # Behind reasoning, a form that nothing matches would be found out too late.
            self._compiler.compile(alone)
        return self._compiler.compiled(grammar)

    def _put_together(self, form: Part | None, functions: Sequence[CallableFunction]) -> str:
        if form is not None and not functions:
            return self._grammar.form(form)
        tools = self._conversation.tools
        # Where one function is named, it is called once: a small model would not come to an end.
        several = self._several_calls and tools.choice.mode != "function"
        calls = call_rules(self._dialect, functions, self._control_ids, several=several)
        if tools.choice.mode != "auto":
            return self._grammar.must_call(calls, several=several)
        if form is not None:
            return self._grammar.form_or_calls(form, calls, json_calls(self._dialect, functions))
        return self._grammar.text_or_calls(calls, several=several)


def _part(form: AnswerForm) -> Part:
    """The form as part of a grammar.

    Raises:
        GrammarError: It cannot be enforced.
    """
    match form:
        case JsonForm(schema):
            return json_schema_part(schema)
        case GrammarForm(text):
            return user_part(text)
        case RegexForm(pattern):
            return regex_part(pattern)
        case ChoiceForm(texts):
            return choice_part(texts)


def _check_form(form: AnswerForm, compiler: GrammarCompiler) -> None:
    """Raise a BadRequest that says what is wrong with the answer's form, if it is that."""
    try:
        if isinstance(form, JsonForm):
            compiler.check_schema(form.schema)
        else:
            compiler.compile(grammar_text(_part(form)))
    except GrammarError as error:
        raise _refused(error, form, at=form.schema_at if isinstance(form, JsonForm) else form.at) from None


def _enforceable(tool: Tool, compiler: GrammarCompiler, *, may_pass_over: bool) -> CallableFunction:
    """The function as far as its parameters can be enforced.

    Where the model may call but need not, and a function is not `strict`, what cannot be enforced is passed over.

    Raises:
        BadRequest: What cannot be enforced must be.
    """
    function = CallableFunction(tool.name, tool.parameters or {})
    try:
        compiler.check_schema(arguments_schema(function.parameters))
    except GrammarError as error:
        if tool.strict or not may_pass_over:
            raise _refused(error, None, at=tool.at) from None
        return _eased(function, compiler)
    return function


def _eased(function: CallableFunction, compiler: GrammarCompiler) -> CallableFunction:
    lenient = CallableFunction(function.name, function.parameters, lenient=True)
    try:
        compiler.compile(grammar_text(json_schema_part(arguments_schema(lenient.parameters), lenient=True)))
    except GrammarError:
        return CallableFunction(function.name, {"type": "object"})
    return lenient


def _unsupported(form: AnswerForm | None) -> BadRequest:
    param = "tool_choice" if form is None else f"{form.at}.type" if isinstance(form, JsonForm) else form.at
    return BadRequest(f"This model's answers cannot be held to `{param}`.", param=param, code="unsupported_value")


def _refused(error: GrammarError, form: AnswerForm | None, *, at: str) -> BadRequest:
    where = f" at `{error.pointer}`" if error.pointer else ""
    is_schema = form is None or isinstance(form, JsonForm)
    return BadRequest(
        f"`{at}` cannot be compiled{where}: {error}",
        param=at,
        code="invalid_schema" if is_schema else "invalid_grammar",
    )
