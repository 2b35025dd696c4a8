"""Under which addresses a listening server is reached: what the join link may name."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import struct
import sys
from array import array
from pathlib import Path

from iirs.errors import ConfigError
from iirs.geometry import pieces

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PROBES = {
    # Reserved for documentation (RFC 5737, RFC 3849); connecting a datagram socket sends nothing.
    socket.AF_INET: "192.0.2.1",
    socket.AF_INET6: "2001:db8::1",
}
_IPV6_INTERFACES = Path("/proc/net/if_inet6")
_NOBODYS = (
    "Nobody can connect to this address by a link: it is a broadcast or multicast address, or one that means "
    "nothing without the name of an interface (fe80::). Name another with --host, or leave --host out."
)
_SIOCGIFCONF = 0x8912
_IFREQ_SIZE = 40 if struct.calcsize("P") == 8 else 32


def reachable(host: str, bound: str) -> list[str]:
    """Return the addresses to reach a server at that was asked to listen on ``host``, the best first.

    ``bound`` is the address its socket has. For "all addresses" these are the machine's own of that family,
    the one with the default route first; the loopback address if the machine has no other. Raises
    ``ConfigError`` for one that can be listened on, and that no link leads to.
    """
    address = ipaddress.ip_address(bound.partition("%")[0])
    if not address.is_unspecified:
        if address.is_multicast or _is_broadcast(address) or _needs_interface(address):
            raise ConfigError(_NOBODYS)
        return [str(address) if _is_address(host) else host]
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    found = dict.fromkeys([*_with_default_route(family), *own_addresses(family)])
    loopback = "127.0.0.1" if address.version == 4 else "::1"
    return [item for item in found if not _is_local_only(item)] or [loopback]


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches it under that address."""
    return host == "localhost" or (
        _is_address(host) and ipaddress.ip_address(host.partition("%")[0]).is_loopback
    )


def own_addresses(family: socket.AddressFamily) -> list[str]:
    """Return this machine's addresses of a family, as far as the system tells, a default route or none."""
    found: list[str] = []
    if sys.platform == "linux":
        found += _linux_ipv4() if family == socket.AF_INET else _linux_ipv6()
    # Elsewhere the machine's own name stands for its addresses; on Linux often for 127.0.1.1 only.
    with contextlib.suppress(OSError, UnicodeError):
        found += [str(item[4][0]) for item in socket.getaddrinfo(socket.gethostname(), None, family)]
    return found


def _with_default_route(family: socket.AddressFamily) -> list[str]:
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((_PROBES[family], 9))
        return [str(probe.getsockname()[0])]
    return []


def _linux_ipv4() -> list[str]:
    if sys.platform != "linux":
        return []
    import fcntl  # noqa: PLC0415  # not there on Windows

    buffer = array("B", bytes(_IFREQ_SIZE * 256))
    place, size = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, _SIOCGIFCONF, struct.pack("iP", size, place))
    filled = buffer.tobytes()[: struct.unpack("iP", answer)[0]]
    # Behind the interface's name of 16 bytes: family and port of 2 bytes each, and the address.
    return [socket.inet_ntoa(piece[20:24]) for piece in pieces(filled, _IFREQ_SIZE)]


def _linux_ipv6() -> list[str]:
    with contextlib.suppress(OSError):  # a kernel without IPv6
        lines = _IPV6_INTERFACES.read_text("ascii").splitlines()
        return [str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in lines if line]
    return []


def _is_local_only(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    return address.is_loopback or _needs_interface(address)


def _needs_interface(address: _Address) -> bool:
    # It has another name elsewhere, and no link can hold one.
    return address.version == 6 and address.is_link_local


def _is_broadcast(address: _Address) -> bool:
    """Whether the system says so: it asks for leave to send there."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex((str(address), 9)) == errno.EACCES
    return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        # "", "0" and "127.1" are addresses to a system, and names to nobody.
        return not host or all(part.isdigit() for part in host.split("."))
    return True
