"""The API keys of a server: those that were given, and those in a file."""

from pathlib import Path

from obeaver.config import Settings
from obeaver.errors import CommandError
from obeaver.option_values import api_key
from obeaver.utf8 import NotUtf8, read_utf8


def api_keys(settings: Settings) -> tuple[str, ...]:
    """All keys that open the server; none where it asks for none.

    Raises:
        CommandError: The file of keys cannot be read, or has none, or one that no client can send.
    """
    if not settings.api_key_file:
        return settings.api_key
    return *settings.api_key, *_keys_of_file(Path(settings.api_key_file).expanduser())


def _keys_of_file(path: Path) -> list[str]:
    try:
        text = read_utf8(path)
    except NotUtf8 as error:
        raise CommandError(f"{path} {error}") from None
    except OSError as error:
        raise CommandError(f"the API keys cannot be read: {path}: {error.strerror}") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    keys = [_checked(line, path, number) for number, line in lines if line and not line.startswith("#")]
    if not keys:
        raise CommandError(f"{path} holds no API key: write one in a line")
    return keys


def _checked(line: str, path: Path, number: int) -> str:
    try:
        return api_key(line)
    except ValueError as error:
        # The key itself is not shown.
        raise CommandError(f"{path}, line {number}: a key {error}") from None
