"""Which chat template a model has, where its files hold several by name, or none that is written in Jinja."""

import json
from collections.abc import Mapping
from typing import Final

_DEFAULT, _WITH_TOOLS = "default", "tool_use"
_CONTENT: Final = "{Content}"


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


def template_of_turns(turns: Mapping[str, object]) -> str | None:
    """What Foundry Local's `PromptTemplate` says, in Jinja; None where it says too little.

    Args:
        turns: For `system`, `user` and `assistant` what such a message becomes, with `{Content}` in it; and `prompt`,
            what the last user's becomes together with the beginning of the answer. Only `prompt` must be there.
    """
    parts = {role: text for role, text in turns.items() if isinstance(text, str) and _CONTENT in text}
    prompt = parts.get("prompt")
    if prompt is None:
        return None
    user = parts.get("user", prompt)
    rest = prompt.removeprefix(user) if prompt.startswith(user) else ""
    opening = rest.lstrip()
    between = rest.removesuffix(opening)
    roles = {"system": parts.get("system"), "user": user, "assistant": parts.get("assistant", _CONTENT)}
    known = {role: text for role, text in roles.items() if text is not None}
    branches = [
        f"{{% {'elif' if i else 'if'} message['role'] == '{role}' %}}{_said(text, between)}"
        for i, (role, text) in enumerate(known.items())
    ]
    return (
        "{% for message in messages %}"
        + "".join(branches)
        + "{% else %}{{ raise_exception('there is no role ' + message['role']) }}{% endif %}{% endfor %}"
        + f"{{% if add_generation_prompt %}}{{{{ {_quoted(opening)} }}}}{{% endif %}}"
    )


def _said(text: str, between: str) -> str:
    """A message in Jinja, with what stands between it and the next; marks are strings, whatever is in them."""
    before, _, after = text.partition(_CONTENT)
    return f"{{{{ {_quoted(before)} + message['content'] + {_quoted(after + between)} }}}}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
