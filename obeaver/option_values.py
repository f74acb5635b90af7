"""What options may say, told from text: each of these refuses at once what could never work."""

import ipaddress
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_SECONDS_OF: Final[Mapping[str, float]] = MappingProxyType({"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400})
_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]*)(?::(?P<port>\d{1,5}))?/?"
)
_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?")
_USUAL_PORTS: Final[Mapping[str, str]] = MappingProxyType({"http": "80", "https": "443", "ws": "80", "wss": "443"})
_LONGEST_S: Final = 10.0**9
_LAST_PORT: Final = 65535
_MOST_THREADS: Final = 1024


def duration(text: str) -> float:
    """Seconds that a person means by `90`, `30s`, `10m`, `1.5h` or `1d`; `never` is 0.

    Raises:
        ValueError: It is no such thing; the message says what is.
    """
    if text.lower() == "never":
        return 0.0
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd]?)", text.lower())
    if found is None:
        raise ValueError("must be a time such as 30s, 10m or 1h, or never")
    return float(found[1]) * _SECONDS_OF[found[2]]


def seconds(text: str) -> float:
    """A number of seconds that a clock can wait for.

    Raises:
        ValueError: It is no number, or an endless one.
    """
    number = _number(text)
    if not math.isfinite(number) or number > _LONGEST_S:
        raise ValueError(f"must be at most {_LONGEST_S:g}")
    return number


def megabytes(text: str) -> float:
    """A size that memory can have.

    Raises:
        ValueError: It is no number, or an endless one.
    """
    return seconds(text)


def num_threads(text: str) -> int:
    """A number of threads that a machine can have; 0 leaves it to the engine.

    Raises:
        ValueError: It is none.
    """
    if not (text.isascii() and text.isdecimal()) or int(text) > _MOST_THREADS:
        raise ValueError(f"must be a whole number from 0 to {_MOST_THREADS}")
    return int(text)


def port(text: str) -> int:
    """A TCP port; 0 stands for a free one.

    Raises:
        ValueError: It is none.
    """
    if not (text.isascii() and text.isdecimal()) or int(text) > _LAST_PORT:
        raise ValueError(f"must be a port from 0 to {_LAST_PORT}")
    return int(text)


def listening_address(text: str) -> str:
    """An address of this machine, or a name for one.

    Raises:
        ValueError: It is more than that, or nothing.
    """
    if _is_address(text.strip("[]")):
        return text.strip("[]")
    if not _NAME.fullmatch(text.lower()):
        raise ValueError("must be an address or a name alone, such as 127.0.0.1; --port has the port")
    return text


def host_name(text: str) -> str:
    """A name as a Host header has it, without the port; `*` stands for every name.

    Raises:
        ValueError: No Host header could match it.
    """
    if text == "*" or _is_address(text.strip("[]")):
        return text
    name = _in_ascii(text)
    if not _NAME.fullmatch(name):
        raise ValueError(
            "must be a name without scheme, port or path, such as chat.example.org; of wildcards there is only * alone"
        )
    return name


def page_origin(text: str) -> str:
    """An origin as browsers send it; `*` stands for every page, `null` for pages without an origin.

    Raises:
        ValueError: No browser sends this.
    """
    if text in ("*", "null"):
        return text
    found = _ORIGIN.fullmatch(_in_ascii(text))
    if found is None or "*" in text or (found["host"] == "" and (found["scheme"] != "file" or found["port"])):
        raise ValueError(
            "must be scheme, host and, if it has one, port of a page, such as https://chat.example.org or "
            "http://192.168.0.2:3000; file://, null, or * for every page"
        )
    number = found["port"]
    if number is not None and not 0 < int(number) <= _LAST_PORT:
        raise ValueError(f"must have a port from 1 to {_LAST_PORT}")
    # Browsers leave out the port that a scheme has anyway.
    shown = "" if number is None or number == _USUAL_PORTS.get(found["scheme"]) else f":{int(number)}"
    return f"{found['scheme']}://{found['host']}{shown}"


def api_key(text: str) -> str:
    """A key as it can stand in a header.

    Raises:
        ValueError: It cannot, or it is empty and would let everybody in.
    """
    if not text.strip():
        raise ValueError("must not be empty: leave it out to serve without a key")
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable characters, without spaces at its ends")
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number") from None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _in_ascii(text: str) -> str:
    """In lower case, and international names as they go over the wire."""
    if text.isascii():
        return text.lower()
    scheme, separator, rest = text.rpartition("://")
    name, colon, tail = rest.partition(":")
    try:
        return f"{scheme}{separator}{name.encode('idna').decode()}{colon}{tail}".lower()
    except UnicodeError:
        return text.lower()
