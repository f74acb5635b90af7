"""Grammars that an answer must follow, enforced token by token by llguidance.

A grammar travels as text (`SamplingParams.grammar`), made by `grammar_text` from parts: a main part, and parts that it
refers to by name. The first stage of a request compiles it, in a thread of its own choosing, and so knows that it will
compile in the engine; the text holds the compilation from then on (`CompiledText`), and in the engine a copy of it is
taken, within microseconds. llguidance bounds its own work, so no grammar can hang a thread.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from obeaver.engine.grammar.json_schema import enforceable
from obeaver.engine.grammar.kept_compilations import KeptCompilations
from obeaver.engine.grammar.schema_culprit import culprit
from obeaver.engine.grammar.schema_walk import SchemaRefused
from obeaver.engine.grammar.vocabulary import GrammarVocabulary, LibraryTokenizer
from obeaver.errors import GrammarTooComplex, ObeaverError

logger = logging.getLogger(__name__)

TokenMask = npt.NDArray[np.bool_]

Part: TypeAlias = Mapping[str, Any]
"""One grammar, as llguidance has it: `lark_grammar` or `json_schema`."""

LAYOUT: Final = {
    # A space behind each comma and colon, nothing else: free white space is where small models get lost.
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    # No \\uXXXX: any character could be written so, in a key too, which would then pass for another key.
    "json_allowed_escapes": 'nrbtf\\"',
}

# Where only one text can follow, llguidance would allow the tokens that its tokenizer cuts it into and no others: for a
# text such as "<|im_end|>" in a schema, a control token.
_OPTIONS: Final = '{"no_forcing": true}'

_EMBEDDED: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|#[^\n]*|/(?:\\.|[^/\\\n])+/|%json\s*')
"""Where a schema begins in a Lark grammar; strings, comments and regular expressions are passed over."""
_MOST_ITEMS: Final = 10_000
"""Of Earley's, that finding a mask may make. The library holds the interpreter's lock while it takes in a token, and
takes 0.3 ns for each pair of the items behind it: 31 ms for so many, 84 ms for the 16,500 of 1,500 objects to choose
from. It refuses what leaves more than 2,000 anyway, but not before it has made them all."""

_LONGEST_FORCED: Final = 64_000
"""Characters of a grammar that is asked what it forces: that may be far ahead of what masks have looked at, so that
only the size of the grammar bounds it. Some 40 are needed for five items."""

_TOO_MANY: Final = "Too many items"
_SOURCE_PLACE: Final = re.compile(r"[\w./-]+\.rs:\d+")


class GrammarError(ObeaverError):
    """A grammar does not compile. The text says why and, where it is known, at which line and column.

    Attributes:
        pointer: JSON pointer of the subschema at fault; "" for all of it.
    """

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class CompiledText(str):
    """A grammar's text that holds its compilation for as long as somebody holds the text."""

    __slots__ = ("compilation",)

    def __new__(cls, text: str, compilation: object) -> "CompiledText":
        """The text with what was made of it."""
        made = super().__new__(cls, text)
        made.compilation = compilation
        return made

    compilation: object


class GrammarCompiler:
    """Compiles grammars for one tokenizer; may be used from several threads at once.

    Args:
        vocabulary: How the tokenizer spells.
        vocab_size: Width of the masks, at least the tokenizer's own vocabulary.
        eos_ids: Allowed where the grammar may end, and nowhere else.

    Raises:
        GrammarError: No grammar can be compiled for such a vocabulary.
    """

    def __init__(self, vocabulary: GrammarVocabulary, vocab_size: int, eos_ids: Sequence[int]) -> None:
        import llguidance

        try:
            self._tokenizer = _library_tokenizer(vocabulary, vocab_size, eos_ids)
        except ValueError as error:
            raise GrammarError(f"no grammar can be compiled for this tokenizer: {error}") from error
        limits = llguidance.LLParserLimits(verbose_errors=False, step_max_items=_MOST_ITEMS)
        self._vocab_size = vocab_size
        # No methods: a cache that knows this object would keep it, and all its memory, until Python looks for cycles.
        self._build = partial(_build, partial(llguidance.LLMatcher, self._tokenizer, log_level=0, limits=limits))
        self._compiled = KeptCompilations(self._build)

    def compile(self, grammar: str) -> "Matcher":
        """A matcher that stands at the grammar's start.

        Raises:
            GrammarError: The grammar does not compile.
        """
        may_force = len(grammar) <= _LONGEST_FORCED
        return Matcher(self._compilation(grammar).deep_copy(), self._vocab_size, may_force=may_force)

    def compiled(self, grammar: str) -> str:
        """The grammar, of which `compile` makes matchers without compiling it again.

        Raises:
            GrammarError: The grammar does not compile.
        """
        return CompiledText(grammar, self._compilation(grammar))

    def _compilation(self, grammar: str) -> Any:
        return grammar.compilation if isinstance(grammar, CompiledText) else self._compiled.get(grammar)

    def is_control(self, token_id: int) -> bool:
        """Whether no text matches this token, so that a grammar has to name it by its id."""
        return bool(self._tokenizer.is_special_token(token_id))

    def check_schema(self, schema: Mapping[str, Any]) -> None:
        """Compile a schema and forget it.

        Raises:
            GrammarError: It does not compile; `pointer` says where.
        """
        reason = self._reason(schema)
        if reason is None:
            return
        try:
            enforceable(schema)
        except SchemaRefused as refusal:
            raise GrammarError(str(refusal), refusal.pointer) from None
        pointer, own_reason = culprit(schema, reason, self._reason)
        raise GrammarError(own_reason, pointer)

    def _reason(self, schema: Mapping[str, Any]) -> str | None:
        try:
            self._build(grammar_text(json_schema_part(schema)))
        except GrammarError as error:
            return str(error)
        return None


def _library_tokenizer(vocabulary: GrammarVocabulary, vocab_size: int, eos_ids: Sequence[int]) -> Any:
    """A vocabulary as llguidance has it.

    The library holds the interpreter's lock while it makes one, and a server that loads a model answers nobody
    meanwhile. So it is made of tokens that are spelled already, in two steps: for 49,152 tokens the longest stop was
    320 ms with a tokenizer.json, which the library parses for a second time, and is a third of that so.
    """
    from llguidance import LLTokenizer, TokenizerWrapper

    if vocab_size < len(vocabulary.tokens):
        raise ValueError(f"it has {len(vocabulary.tokens)} tokens, and the model knows {vocab_size}")
    if not eos_ids:
        raise ValueError("no token ends a text")
    wrapped = TokenizerWrapper(LibraryTokenizer(vocabulary, vocab_size, eos_ids[0]))
    plain = LLTokenizer(wrapped, n_vocab=vocab_size, eos_token=list(eos_ids), slices=[])
    return plain.with_slices(LLTokenizer.general_slices())


def _build(make_matcher: Callable[..., Any], grammar: str) -> Any:
    matcher = make_matcher(grammar)
    if matcher.is_error():
        raise GrammarError(_reason(matcher))
    # Computed here, the first mask costs the copies nothing.
    matcher.compute_bitmask()
    if matcher.is_error():
        text: str = matcher.get_error()
        raise GrammarError("too much can follow at its beginning" if _TOO_MANY in text else "nothing can match it")
    return matcher


class Matcher:
    """Where one sequence stands in its grammar. Made by `GrammarCompiler.compile`."""

    def __init__(self, matcher: Any, vocab_size: int, *, may_force: bool) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._may_force = may_force

    def allowed(self) -> TokenMask:
        """Ids that may come next: [vocab_size].

        Raises:
            GrammarTooComplex: The grammar grew too complex on this path, or nothing can follow.
        """
        packed = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._must_stand()
        return np.unpackbits(packed, count=self._vocab_size, bitorder="little").view(np.bool_)

    def accept(self, token_id: int) -> None:
        """Go on by one token, after `allowed` has said that it may come: what that takes is bounded there.

        Raises:
            GrammarTooComplex: As for `allowed`, or the grammar does not allow the token here.
        """
        self._matcher.consume_token(token_id)
        self._must_stand()

    def forced(self) -> list[int]:
        """Tokens of the text that alone can follow, as the tokenizer would cut it; empty where there is a choice.

        Other tokens may spell the same text, and `allowed` allows those too: this is what is likely to come, and binds
        nobody. It is found out on a copy, so that no limit of the library's is met earlier than without.
        """
        if not self._may_force:
            return []
        ahead = self._matcher.deep_copy()
        ahead.compute_ff_bytes()
        token_ids: list[int] = ahead.compute_ff_tokens()
        return [] if ahead.is_error() else token_ids

    @property
    def finished(self) -> bool:
        """Whether nothing but an end id can follow, or one has come."""
        return bool(self._matcher.is_stopped())

    def _must_stand(self) -> None:
        if self._matcher.is_error():
            raise GrammarTooComplex(
                "What the answer must hold to cannot be followed further: it is too complex, or leads nowhere."
            ) from GrammarError(_reason(self._matcher))


def grammar_text(main: Part, **others: Part) -> str:
    """The text of a grammar.

    Args:
        main: What is matched.
        others: What it refers to, by name: `@name`.
    """
    named = {"main": main, **others}
    first = lark_part(f"%llguidance {_OPTIONS}\nstart: @main")
    return json.dumps({"grammars": [first, *({"name": name, **part} for name, part in named.items())]})


def lark_part(text: str) -> Part:
    """A grammar in llguidance's dialect of Lark."""
    return {"lark_grammar": text}


def json_schema_part(schema: Mapping[str, Any], *, lenient: bool = False) -> Part:
    """A JSON text that is valid under a schema; `{"type": "object"}` is any object. Its layout is `LAYOUT`.

    Args:
        schema: A JSON Schema, draft 2020-12 unless it says so itself.
        lenient: Pass over what cannot be enforced.

    Raises:
        GrammarError: The schema asks for what cannot be enforced, or nothing can satisfy it.
    """
    layout = {**LAYOUT, "lenient": True} if lenient else LAYOUT
    try:
        return {"json_schema": {**enforceable(schema, lenient=lenient), "x-guidance": layout}}
    except SchemaRefused as refusal:
        raise GrammarError(str(refusal), refusal.pointer) from None


def user_part(text: str) -> Part:
    """A grammar as users have it: Lark, or llama.cpp's GBNF.

    Raises:
        GrammarError: It is neither.
    """
    from llguidance.gbnf_to_lark import any_to_lark

    try:
        lark = any_to_lark(text)
    except Exception as error:  # the converter raises this very class for rules that are missing
        raise GrammarError(f"it is no GBNF, and without `start:` no Lark: {error}") from error
    return lark_part(_with_exact_schemas(lark))


def _with_exact_schemas(lark: str) -> str:
    """The grammar with its embedded schemas (`%json {...}`) in words that are enforced to the letter.

    Raises:
        GrammarError: A schema asks for what cannot be enforced.
    """
    pieces: list[str] = []
    place = 0
    while found := _EMBEDDED.search(lark, place):
        pieces.append(lark[place : found.end()])
        place = found.end()
        if not found.group().startswith("%json"):
            continue
        try:
            schema, place = json.JSONDecoder().raw_decode(lark, place)
        except (ValueError, RecursionError):
            # llguidance says what is wrong with it.
            continue
        pieces.append(json.dumps(_embedded(schema) if isinstance(schema, dict) else schema))
    return "".join(pieces) + lark[place:]


def _embedded(schema: dict[str, Any]) -> dict[str, Any]:
    """An embedded schema may choose its layout, but not escapes by which its patterns are not kept."""
    layout = schema.get("x-guidance")
    escapes = {"json_allowed_escapes": LAYOUT["json_allowed_escapes"], "json_allow_general_unicode_escapes": False}
    exact: dict[str, Any] = dict(json_schema_part({**schema, "x-guidance": None})["json_schema"])
    return {**exact, "x-guidance": {**(layout if isinstance(layout, dict) else {}), **escapes}}


def regex_part(pattern: str) -> Part:
    """A text that matches a regular expression as a whole, in the syntax of Rust's regex crate."""
    import llguidance

    (part,) = json.loads(llguidance.LLMatcher.grammar_from_regex(pattern))["grammars"]
    return lark_part(part["lark_grammar"])


def choice_part(texts: Sequence[str]) -> Part:
    """One of these texts."""
    return lark_part("start: " + " | ".join(json.dumps(text) for text in texts))


def _reason(matcher: Any) -> str:
    text: str = matcher.get_error()
    if "panic" in text.lower():
        # Its places in the library's source are of use to us; the rest of the words may quote the request.
        logger.warning("llguidance gave up on a grammar, at %s", " ".join(_SOURCE_PLACE.findall(text)) or "no place")
        return "it is too large or too complex"
    if "coerce_one_of" in text:  # an option of the library, which nobody here can set
        return (
            "`oneOf` is enforced where its branches exclude each other by their type or a constant; `anyOf` always is"
        )
    return text.partition("\n<non-verbose/>")[0].strip()
