"""`--chat-template FILE`: a chat template in place of a model's own, checked before a model is fetched for it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from obeaver.config import Settings
from obeaver.errors import CommandError, ModelError
from obeaver.models.store import StoredModel
from obeaver.text.chat_template import ChatTemplate
from obeaver.utf8 import NotUtf8, read_utf8


def given_template(settings: Settings) -> str | None:
    """The file's text; None where no file is given.

    Raises:
        CommandError: There is no such file, or it holds no chat template; says what is wrong.
    """
    if not settings.chat_template:
        return None
    path = settings.chat_template
    try:
        source = read_utf8(Path(path).expanduser())
        ChatTemplate(source, special_tokens={}, control_tokens=())
    except NotUtf8 as error:
        raise CommandError(f"--chat-template {path} {error}") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: `~nobody`
        raise CommandError(
            f"--chat-template {path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    except ModelError as error:
        raise CommandError(f"--chat-template {path}: {error}") from None
    return source


def check_given_template(settings: Settings, num_models: int) -> None:
    """See that the file, if one is given, is a template for a model that is named.

    Raises:
        CommandError: It is none, or there are none or several models.
    """
    if given_template(settings) is not None and num_models != 1:
        raise CommandError(f"--chat-template is for one model, and {num_models or 'none'} are named")


def given_templates(settings: Settings, models: Sequence[StoredModel]) -> Mapping[str, str]:
    """The template by the name of the model that it is for: models that are loaded later have their own.

    Raises:
        CommandError: As for `given_template`.
    """
    source = given_template(settings)
    return {} if source is None else {stored.name: source for stored in models[:1]}
