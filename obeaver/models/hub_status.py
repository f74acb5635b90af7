"""Whether the Hugging Face hub can be reached, and as whom. Never fails, and never takes long."""

import os
import threading
from dataclasses import dataclass
from typing import Any, Final

PUBLIC: Final = "https://huggingface.co"
TIMEOUT_S: Final = 4.0
"""For all of it: looking up a name has no time limit of its own."""

_SIGNED_IN: Final = 200
_REFUSED: Final = (401, 403)


@dataclass(frozen=True, slots=True)
class HubStatus:
    """What was found.

    Attributes:
        endpoint: Address of the hub (HF_ENDPOINT).
        offline: HF_HUB_OFFLINE forbids asking.
        reachable: It answered; None where it was not asked.
        has_token: A token is there (HF_TOKEN, or that of `hf auth login`).
        user: Whose token it is, as the hub says.
        problem: Why it does not answer, or refuses the token.
    """

    endpoint: str
    offline: bool = False
    reachable: bool | None = None
    has_token: bool = False
    user: str | None = None
    problem: str | None = None


def ask_hub(timeout_s: float = TIMEOUT_S) -> HubStatus:
    """Ask the hub who we are."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or PUBLIC
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        from huggingface_hub import constants, get_token
    except ImportError as error:
        return HubStatus(endpoint, problem=f"huggingface_hub cannot be loaded: {error}")
    token = get_token()
    if constants.HF_HUB_OFFLINE:
        return HubStatus(endpoint, offline=True, has_token=token is not None)
    answers: list[HubStatus] = []
    # A daemon, so that one which hangs in the resolver keeps nobody from leaving.
    thread = threading.Thread(
        target=lambda: answers.append(_asked(endpoint, token, timeout_s)), name="obeaver-hub", daemon=True
    )
    thread.start()
    thread.join(timeout_s + 1)
    late = HubStatus(
        endpoint, reachable=False, has_token=token is not None, problem=f"no answer within {timeout_s:g} s"
    )
    return answers[0] if answers else late


def _asked(endpoint: str, token: str | None, timeout_s: float) -> HubStatus:
    from huggingface_hub import get_session

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = get_session().get(f"{endpoint}/api/whoami-v2", headers=headers, timeout=timeout_s)
    except Exception as error:  # noqa: BLE001 - whatever the transport raises is the finding
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return HubStatus(endpoint, reachable=False, has_token=token is not None, problem=reason)
    if answer.status_code == _SIGNED_IN:
        return HubStatus(endpoint, reachable=True, has_token=True, user=_user(answer))
    if answer.status_code in _REFUSED:
        problem = "the token is refused: hf auth login, or set HF_TOKEN" if token else None
        return HubStatus(endpoint, reachable=True, has_token=token is not None, problem=problem)
    problem = f"it answers with status {answer.status_code}"
    return HubStatus(endpoint, reachable=False, has_token=token is not None, problem=problem)


def _user(answer: Any) -> str | None:
    try:
        name = answer.json()["name"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(name)
