"""What a browser is told with every page and every file of a page.

Sources: Content Security Policy Level 3, Permissions Policy, Referrer Policy (W3C); WHATWG HTML, 7.1.3 "Cross-origin
opener policies"; WHATWG Fetch, 3.7 "Cross-Origin-Resource-Policy header".
"""

import base64
import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Scripts, styles and requests of this server alone, and none of them inline: an answer of a model that became markup
could run nothing, load nothing and send nothing anywhere."""

DOCUMENT_POLICY: Final = (
    "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""For a page that is complete in itself: no scripts, no requests, and one style, known by its hash."""

_SWITCHED_OFF: Final = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
"""What a page about models never asks for."""

PAGE_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": ", ".join(f"{feature}=()" for feature in _SWITCHED_OFF),
        "referrer-policy": "no-referrer",
    }
)


def document_headers(style: str) -> Mapping[str, str]:
    """For a page without scripts whose only style is this text, between its tags."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return {
        **PAGE_HEADERS,
        "content-security-policy": DOCUMENT_POLICY.format(style=digest),
        "x-content-type-options": "nosniff",
    }
