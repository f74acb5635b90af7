"""A chat request from the body's JSON value: schema first, then what binds parameters to each other."""

from typing import Any

from obeaver.api.contract.validation import parse
from obeaver.api.core.constraint import check_form
from obeaver.api.core.messages import check_messages
from obeaver.api.core.sampling import check_sampling
from obeaver.api.core.tools import check_tools
from obeaver.errors import BadRequest

OURS = frozenset({"messages", "tools", "add_generation_prompt"})
"""Variables of chat templates that a request gives by other means."""


def parse_chat_request(body: object) -> dict[str, Any]:
    """The request with every parameter of `chat_completion.json`.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("chat_completion", body)
    check_messages(request["messages"])
    check_sampling(request)
    check_tools(request)
    check_form(request)
    taken = OURS.intersection(request["chat_template_kwargs"] or {})
    if taken:
        raise BadRequest(
            f"`chat_template_kwargs` must not have {', '.join(f'`{name}`' for name in sorted(taken))}.",
            param="chat_template_kwargs",
            code="invalid_value",
        )
    return request
