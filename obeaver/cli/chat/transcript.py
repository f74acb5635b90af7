"""What was said in a terminal chat, and its file: the body of a chat request."""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from obeaver.api.core.conversation import AssistantMessage, Message, SystemMessage, UserMessage, text_parts
from obeaver.api.core.messages import text_of
from obeaver.errors import BadRequest, CommandError
from obeaver.utf8 import NotUtf8, read_utf8


@dataclass(slots=True)
class Transcript:
    """What was said so far.

    Attributes:
        system: The system prompt; "" for none.
        messages: Questions and answers.
    """

    system: str = ""
    messages: list[Message] = field(default_factory=list)

    def all_messages(self) -> list[Message]:
        """The system prompt, if there is one, and the messages."""
        return [*([SystemMessage(text_parts(self.system))] if self.system else []), *self.messages]

    def asking(self, question: str) -> tuple[Message, ...]:
        """All messages and one more, which is not kept yet: it may come back without an answer."""
        return (*self.all_messages(), _user(question))

    def keep(self, question: str, answer: str, reasoning: str = "") -> None:
        """Add a question with its answer."""
        self.messages += [_user(question), AssistantMessage(text_parts(answer), reasoning)]

    def take(self, messages: Sequence[Message]) -> None:
        """Become this conversation; its first message may be a system prompt."""
        first, *rest = messages
        self.system = text_of(first.parts) if isinstance(first, SystemMessage) else ""
        self.messages = rest if self.system else list(messages)

    def reset(self) -> None:
        """Forget all but the system prompt."""
        self.messages = []


def _user(text: str) -> Message:
    return UserMessage(text_parts(text))


def write_transcript(path: Path, model: str, messages: Sequence[Message]) -> None:
    """Write a file that only its owner can read; whole, or not at all.

    Raises:
        CommandError: It cannot be written.
    """
    from obeaver.api.chat.messages import chat_messages

    body = {"model": model, "messages": chat_messages(messages)}
    text = json.dumps(body, ensure_ascii=False, indent=2) + "\n"
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


def read_transcript(path: Path) -> tuple[Message, ...]:
    """The messages of such a file, checked like those of a request.

    Raises:
        CommandError: It cannot be read, or is something else.
    """
    from obeaver.api.chat.request import parse_chat_request

    try:
        body = json.loads(read_utf8(path))
        return parse_chat_request({"messages": body["messages"]}).conversation.messages
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    except NotUtf8 as error:
        raise CommandError(f"{path} {error}") from None
    except BadRequest as error:
        raise CommandError(f"{path} is not a conversation: {error}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CommandError(f'{path} is not a conversation: it has no JSON object with "messages"') from None
