"""Texts and JSON of a model folder. What is wrong with one is said in one line that names the file."""

import json
from pathlib import Path
from typing import Any

from obeaver.errors import ModelError
from obeaver.utf8 import NotUtf8, read_utf8


def check_regular(path: Path) -> None:
    """See that reading will come to an end; what is not there passes.

    Raises:
        ModelError: It is a pipe, a device or the like.
        OSError: It cannot be looked at.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ModelError(f"{path} is no regular file: a model cannot be read from a pipe or a device")


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        ModelError: It is missing, cannot be read, or is not UTF-8.
    """
    try:
        check_regular(path)
        return read_utf8(path)
    except FileNotFoundError:
        raise ModelError(f"{path.parent} is no complete model folder: {path.name} is missing") from None
    except NotUtf8 as error:
        raise ModelError(f"{path} {error}") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def read_json(path: Path) -> Any:
    """The value that a JSON file holds.

    Raises:
        ModelError: The file is missing, or holds something else.
    """
    return _parsed(path, read_text(path))


def read_json_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        ModelError: The file is missing, or holds something else.
    """
    return json_object(path, read_text(path))


def json_object(path: Path, text: str) -> dict[str, Any]:
    """The object that a JSON file holds, whose text is known.

    Raises:
        ModelError: It holds something else.
    """
    data = _parsed(path, text)
    if not isinstance(data, dict):
        raise ModelError(f"{path} must hold a JSON object")
    return data


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
