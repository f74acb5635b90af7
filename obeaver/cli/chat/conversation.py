"""The conversation that a terminal chat keeps, and its file: the body of a chat request."""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obeaver.errors import CommandError

ChatMessage = dict[str, Any]


@dataclass(slots=True)
class Conversation:
    """What was said so far.

    Attributes:
        system: The system prompt; "" for none.
        messages: Questions and answers, in the API's form.
    """

    system: str = ""
    messages: list[ChatMessage] = field(default_factory=list)

    def all_messages(self) -> list[ChatMessage]:
        """The system prompt, if there is one, and the messages."""
        return [*([{"role": "system", "content": self.system}] if self.system else []), *self.messages]

    def asking(self, question: str) -> list[ChatMessage]:
        """All messages and one more, which is not kept yet: it may come back without an answer."""
        return [*self.all_messages(), _user(question)]

    def keep(self, question: str, answer: str, reasoning: str = "") -> None:
        """Add a question with its answer."""
        thoughts = {"reasoning_content": reasoning} if reasoning else {}
        self.messages += [_user(question), {"role": "assistant", "content": answer, **thoughts}]

    def take(self, messages: Sequence[ChatMessage]) -> None:
        """Become this conversation; its first message may be a system prompt."""
        first, *rest = messages
        self.system = _text(first["content"]) if first["role"] in {"system", "developer"} else ""
        self.messages = rest if self.system else list(messages)

    def reset(self) -> None:
        """Forget all but the system prompt."""
        self.messages = []


def _user(text: str) -> ChatMessage:
    return {"role": "user", "content": text}


def _text(content: str | Sequence[dict[str, str]]) -> str:
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


def write_conversation(path: Path, model: str, messages: Sequence[ChatMessage]) -> None:
    """Write a file that only its owner can read; whole, or not at all.

    Raises:
        CommandError: It cannot be written.
    """
    text = json.dumps({"model": model, "messages": messages}, ensure_ascii=False, indent=2) + "\n"
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink()
            raise
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None


def read_conversation(path: Path) -> list[ChatMessage]:
    """The messages of such a file, checked like those of a request.

    Raises:
        CommandError: It cannot be read, or is something else.
    """
    from obeaver.api.chat.request import parse_chat_request
    from obeaver.errors import BadRequest

    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        messages: list[ChatMessage] = parse_chat_request({"messages": body["messages"]})["messages"]
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    except BadRequest as error:
        raise CommandError(f"{path} is not a conversation: {error}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CommandError(f'{path} is not a conversation: it has no JSON object with "messages"') from None
    return messages
