"""Which chat template a model has, where its files hold several by name."""

from collections.abc import Mapping

_DEFAULT, _WITH_TOOLS = "default", "tool_use"


def template_of(named: Mapping[str, object]) -> str | None:
    """The default template; where there is another for conversations with tools, that one decides for them.

    Both stand in one source then, as alternatives: Hugging Face's loader chooses in the same way.
    """
    default, with_tools = named.get(_DEFAULT), named.get(_WITH_TOOLS)
    if not isinstance(default, str):
        return with_tools if isinstance(with_tools, str) else None
    if not isinstance(with_tools, str):
        return default
    return f"{{% if tools %}}{with_tools}{{% else %}}{default}{{% endif %}}"
