"""Links in texts: found, and told apart from what only looks like one. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_LINK = re.compile(r"https?://[^\s<>\"'\ufffd]{1,2000}", re.IGNORECASE)
_TRAILING = ".,;:!?)]}"
LINKS_MAX = 3


def links_in(text: str) -> list[str]:
    """Return the first few web addresses in a text that was made safe; nothing else is ever a link."""
    found = [match.group().rstrip(_TRAILING) for match in _LINK.finditer(text)]
    return [link for link in dict.fromkeys(found) if host_of(link)][:LINKS_MAX]


def host_of(link: str) -> str:
    """Return the host a link goes to, in letters nobody can mix up (punycode for others); "" if none."""
    try:
        host = urlsplit(link).hostname or ""
        return host if host.isascii() else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        return ""


def whole_link(link: str) -> str:
    """Return a link as it is opened, with the host in punycode: what is shown is where it goes."""
    parts = urlsplit(link)
    credentials, at, _ = parts.netloc.rpartition("@")
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{credentials}{at}{host_of(link)}{port}").geturl()
