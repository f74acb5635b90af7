"""The formats of JSON Schema that an answer is held to, as patterns."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_DIGITS_01_TO_99 = "(?:0[1-9]|[1-9][0-9])"
_LEAP_IN_CENTURY = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP_YEAR = f"(?:[0-9]{{2}}{_LEAP_IN_CENTURY}|{_LEAP_IN_CENTURY}00)"
# Calendars of programming languages have no year 0.
_YEAR = f"(?:[0-9]{{2}}{_DIGITS_01_TO_99}|{_DIGITS_01_TO_99}00)"
_DATE = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
# No leap seconds, which are valid in one minute of a few days; no more digits than clocks have.
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
# RFC 1123 labels. No label has hyphens in third and fourth place: that is how encoded labels begin, which have rules of
# their own (RFC 5891, section 4.2.3.1). At most four, so that the whole stays below 254 characters.
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9]|[a-zA-Z0-9-][a-zA-Z0-9](?:[a-zA-Z0-9-]{0,58}[a-zA-Z0-9])?)?"

_HOSTNAME = f"{_LABEL}(?:\\.{_LABEL}){{0,3}}"
# At most 64 characters before the sign, 63 in a label and 254 in all (RFC 5321); llguidance's own has no such limits.
_ATOM = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,20}"
_EMAIL = f"{_ATOM}(?:\\.{_ATOM}){{0,2}}@{_LABEL}(?:\\.{_LABEL}){{0,2}}"
_POINTER = "(?:/(?:[^~/\\x{0}-\\x{7}\\x{b}\\x{e}-\\x{1f}\\x{7f}]|~[01])*)*"
_IN_SEGMENT = "(?:[a-zA-Z0-9._~!$&'()*+,;=@-]|%[0-9a-fA-F]{2})"
_SEGMENT = f"(?:{_IN_SEGMENT}|:)"
_TAIL = f"(?:\\?(?:{_SEGMENT}|[/?])*)?(?:#(?:{_SEGMENT}|[/?])*)?"

FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "date": _DATE,
        "time": _TIME,
        "date-time": f"{_DATE}T{_TIME}",
        "email": _EMAIL,
        "idn-email": _EMAIL,
        "hostname": _HOSTNAME,
        "idn-hostname": _HOSTNAME,
        "json-pointer": _POINTER,
        "relative-json-pointer": f"(?:0|[1-9][0-9]{{0,8}})(?:#|{_POINTER})",
        # A reference without scheme and authority (RFC 3986, section 4.2): in its first segment stands no colon.
        "uri-reference": f"(?:/(?:{_SEGMENT}+(?:/{_SEGMENT}*)*)?|{_IN_SEGMENT}+(?:/{_SEGMENT}*)*)?{_TAIL}",
    }
)
"""Formats that are enforced by these patterns."""

OF_LLGUIDANCE: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{name: name for name in ("duration", "ipv4", "ipv6", "uri", "uuid")},
        "iri": "uri",
        "iri-reference": "uri",
    }
)
"""Formats that llguidance enforces, each under the name of one that holds no more than it."""

UNENFORCED: Final = frozenset({"regex", "uri-template"})
"""Formats of the specification that no pattern describes."""

HINTS: Final = frozenset({"password", "binary", "text", "multiline", "textarea", "markdown", "html"})
"""Formats that tell how to show a text, and forbid none."""
