"""Prompts that can never fit are refused by their size, before anything is rendered or tokenised."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from obeaver.api.core.conversation import AssistantMessage, Conversation, Message
from obeaver.errors import ContextLengthExceeded
from obeaver.text.prompt_size import TooManyTokens
from obeaver.text.tokenizer import Tokenizer

LEFT_OUT: Final = 2
"""A template may leave out parts of a conversation, thoughts of earlier answers for one. What is so many times too long
is refused whatever the template would make of it."""


@contextmanager
def within_context(limit: int, *, at: str) -> Iterator[None]:
    """Tokenise within this context.

    Args:
        limit: Tokens that fit.
        at: Where the text stood in the request.

    Raises:
        ContextLengthExceeded: There are more.
    """
    try:
        yield
    except TooManyTokens as error:
        raise _too_long(limit, error.at_least, at) from None


def refuse_conversation(tokenizer: Tokenizer, conversation: Conversation, limit: int) -> None:
    """Refuse what has far more text than tokens could stand for.

    Raises:
        ContextLengthExceeded: It does.
    """
    texts = [text for message in conversation.messages for text in _texts(message)]
    if tokenizer.size_bound is not None and tokenizer.size_bound.exceeds(texts, LEFT_OUT * limit):
        raise _too_long(limit, tokenizer.size_bound.fewest_tokens(texts) // LEFT_OUT, conversation.at)


def _texts(message: Message) -> list[str]:
    texts = [part.text for part in message.parts]
    if isinstance(message, AssistantMessage):
        texts += [message.reasoning, *(call.arguments for call in message.calls)]
    return texts


def _too_long(limit: int, at_least: int, at: str) -> ContextLengthExceeded:
    # Clients look for these words of OpenAI's, and shorten their history.
    return ContextLengthExceeded(
        f"This model's maximum context length is {limit} tokens. "
        f"The prompt has at least {at_least}. Shorten the prompt.",
        param=at,
    )
