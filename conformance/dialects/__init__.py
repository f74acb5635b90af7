"""The protocols that the suite speaks: a folder each, and a row here."""

from conformance.dialects.anthropic.dialect import Anthropic
from conformance.dialects.dialect import Dialect
from conformance.dialects.ollama.dialect import Ollama
from conformance.dialects.openai.dialect import OpenAI
from conformance.dialects.responses.dialect import Responses

DIALECTS: tuple[Dialect, ...] = (OpenAI(), Responses(), Anthropic(), Ollama())

BY_NAME = {dialect.name: dialect for dialect in DIALECTS}

GUARD = "guard"
"""What a server with an API key and little room meets, in every dialect."""

NEEDS = (*(need for dialect in DIALECTS for need in dialect.needs), GUARD)


def dialect_of(path: str) -> Dialect:
    """Whose path this is: of those that know it, the one that knows most of it; a path of nobody's is the first's."""
    return max(DIALECTS, key=lambda dialect: len(dialect.endpoint(path) or ""))
