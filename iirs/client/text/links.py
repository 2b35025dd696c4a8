"""Links in texts: found, and told apart from what only looks like one. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_LINK = re.compile(r"https?://[^\s<>\"'\\\ufffd]{1,2000}", re.IGNORECASE)
# Browsers take a backslash for a slash: "https://evil.example\@good.example" would open evil.example.
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*")
_TRAILING = ".,;:!?)]}"
LINKS_MAX = 3
_HOST_MAX = 253
"""Characters of a host: no longer name can be looked up."""
ADDRESS_SHOWN = 400
"""Characters of an address that are shown at most; what is left out is its middle."""


def links_in(text: str) -> list[str]:
    """Return the first few web addresses in a text that was made safe; nothing else is ever a link."""
    found = [match.group().rstrip(_TRAILING) for match in _LINK.finditer(text)]
    return [link for link in dict.fromkeys(found) if host_of(link)][:LINKS_MAX]


def host_of(link: str) -> str:
    """Return the host a link goes to, in letters nobody can mix up (punycode for others); "" if none.

    A host or a port that browsers may read otherwise than we do counts as none.
    """
    try:
        parts = urlsplit(link)
        host = parts.hostname or ""
        host = host if host.isascii() else host.encode("idna").decode()
        _ = parts.port  # raises where it is no port
    except (ValueError, UnicodeError):
        return ""
    return host if _HOST.fullmatch(host) and len(host) <= _HOST_MAX else ""


def whole_link(link: str) -> str:
    """Return a link as it is opened, with the host in punycode: what is shown is where it goes."""
    parts = urlsplit(link)
    credentials, at, _ = parts.netloc.rpartition("@")
    host = host_of(link)
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    return parts._replace(netloc=f"{credentials}{at}{host}{port}").geturl()
