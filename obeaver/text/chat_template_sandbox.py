"""A Jinja environment for templates that strangers wrote: the sandbox, and a budget for every rendering.

Jinja's sandbox keeps a template away from Python's insides; it does not stop one from looping for hours or from making
a gigabyte out of a line. So a template's tree gets filters, invisible to the template, that charge the budget of the
rendering; operators, calls and output charge it where Jinja lets them be intercepted.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from jinja2 import TemplateSyntaxError, meta, nodes, pass_context
from jinja2.environment import Template
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from obeaver.text.chat_template_budget import CALL, COSTS, TURN, Budget, pay_for_method, percent

MAX_INDENT: Final = 16
MAX_SOURCE: Final = 1_000_000
"""Characters of a template; the longest known have some 20,000."""
# A template cannot write this name, since it begins with a space.
BUDGET: Final = " budget"

_STRING_METHODS: Final = frozenset(
    "capitalize count endswith find format index isalnum isalpha isascii isdecimal isdigit islower isnumeric isspace "
    "istitle isupper join lower lstrip partition removeprefix removesuffix replace rfind rindex rpartition rsplit "
    "rstrip split splitlines startswith strip swapcase title upper".split()
)
_LIST_CHANGES: Final = frozenset({"append", "pop"})
_PLAIN_FILTERS: Final = (
    "abs count d default dictsort first float groupby int items last length list map max min reject rejectattr reverse "
    "round select selectattr sort unique".split()
)
# These make text of whatever they get, so that is weighed first.
_TEXT_FILTERS: Final = frozenset(
    "capitalize e escape forceescape lower safe string striptags sum title trim truncate upper urlencode "
    "wordcount".split()
)


def _budget(context: Context) -> Budget:
    budget: Budget = context[BUDGET]
    return budget


@pass_context
def _weighed(context: Context, value: Any) -> Any:
    if isinstance(value, Iterator):
        value = list(value)
    _budget(context).weigh(value)
    return value


@pass_context
def _turns(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    budget = _budget(context)
    for item in items:
        budget.spend(TURN)
        yield item


@pass_context
def _concatenated(context: Context, values: list[Any]) -> str:
    _budget(context).weigh(values)
    return "".join(map(str, values))


@pass_context
def _finalize(context: Context, value: Any) -> str:
    _budget(context).weigh(value)
    return str(value)


@pass_context
def _join(context: Context, value: Any, d: str = "", attribute: str | int | None = None) -> Any:
    items = _weighed(context, value)
    _budget(context).spend(len(items) * len(d))
    return FILTERS["join"](context.eval_ctx, items, d, attribute)


@pass_context
def _replace(context: Context, value: Any, old: str, new: str, count: int | None = None) -> str:
    text = str(_weighed(context, value))
    _budget(context).spend(text.count(old) * len(new))
    return text.replace(old, new, -1 if count is None else count)


@pass_context
def _indent(context: Context, value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> Any:
    text = str(_weighed(context, value))
    _budget(context).spend((text.count("\n") + 1) * (len(width) if isinstance(width, str) else width))
    return FILTERS["indent"](text, width, first, blank)


@pass_context
def _format(context: Context, value: Any, *args: Any, **kwargs: Any) -> str:
    return percent(_budget(context), str(_weighed(context, value)), kwargs or args)


@pass_context
def _to_json(
    context: Context,
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As Hugging Face has it: nothing is escaped for HTML, keys keep their order."""
    width = len(indent) if isinstance(indent, str) else indent or 0
    if width > MAX_INDENT or any(len(separator) > MAX_INDENT for separator in separators or ()):
        raise SecurityError("tojson with a very wide indent or separator")
    _budget(context).weigh(value)
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys, allow_nan=True
    )


class GenerationBlock(Extension):
    """`{% generation %}…{% endgeneration %}`, which Hugging Face uses to find answers in training data: its body."""

    tags = {"generation"}  # noqa: RUF012  the base class declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Leave the body, and nothing of the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Metered(NodeTransformer):
    """Puts the budget's filters into a template's tree."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  named after the node
        """Every turn is paid for."""
        if node.recursive:
            raise TemplateSyntaxError("recursive loops are not supported", node.lineno)
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "turns ")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        """`~` knows no operator that could be intercepted."""
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "concatenated ")

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        """What becomes text is weighed."""
        self.generic_visit(node)
        if node.name in _TEXT_FILTERS and node.node is not None:
            node.node = _filtered(node.node, "weighed ")
        return node

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802
        """The template's own text is paid for like any other output."""
        return nodes.Const(node.data, lineno=node.lineno)


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment that Hugging Face's templates expect, with less rope."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Make one; `functions` are globals of every template."""
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_finalize,
            extensions=["jinja2.ext.loopcontrols", GenerationBlock],
        )
        self.filters = {name: FILTERS[name] for name in (*_PLAIN_FILTERS, *_TEXT_FILTERS)} | _OWN_FILTERS
        del self.globals["lipsum"]
        self.globals |= functions

    def load(self, source: str) -> tuple[Template, frozenset[str]]:
        """Compile a template.

        Returns:
            The template, and the names of the variables that it reads.

        Raises:
            TemplateError: It is no valid template, or uses what is not supported.
            RecursionError: It is nested too deeply.
        """
        if len(source) > MAX_SOURCE:
            raise TemplateSyntaxError("it is too long", 1)
        tree = self.parse(source)
        names = frozenset(meta.find_undeclared_variables(tree))
        code = self.compile(_Metered().visit(tree))
        return Template.from_code(self, code, self.make_globals(None)), names

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Of strings, what makes no much longer ones; of lists, what adds or takes an item; of numbers, nothing."""
        if isinstance(obj, list) and attr in _LIST_CHANGES:
            return True
        if isinstance(obj, str) and attr not in _STRING_METHODS:
            return False
        return not isinstance(obj, int | float | bytes) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """`str.format` is left to `is_safe_attribute`, and to its price."""

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        """Say at once what Jinja would say when the value is used."""
        raise SecurityError(f"access to attribute {attribute!r} of {type(obj).__name__!r} object is unsafe")

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Pay for a call, and for what a string's method makes."""
        budget = _budget(context)
        budget.spend(CALL)
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str):
            args = pay_for_method(budget, owner, obj.__name__, args, kwargs)
        return super().call(context, obj, *args, **kwargs)

    def call_filter(
        self,
        name: str,
        value: Any,
        args: Any = None,
        kwargs: Any = None,
        context: Context | None = None,
        eval_ctx: Any = None,
    ) -> Any:
        """Filters by name, as `map` calls them."""
        if name in _TEXT_FILTERS and context is not None:
            value = _weighed(context, value)
        return super().call_filter(name, value, args, kwargs, context, eval_ctx)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Pay for what an operator makes."""
        budget = _budget(context)
        if operator == "%" and isinstance(left, str):
            return percent(budget, left, right)
        if operator in COSTS:
            budget.spend(COSTS[operator](left, right))
        return super().call_binop(context, operator, left, right)


_OWN_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "turns ": _turns,
    "weighed ": _weighed,
    "concatenated ": _concatenated,
    "join": _join,
    "replace": _replace,
    "indent": _indent,
    "format": _format,
    "tojson": _to_json,
}
