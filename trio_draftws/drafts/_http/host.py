"""Host names as they are sent, compared, and checked by TLS.

1. A name in ASCII stays as it is, in lower case. Networks have names such as `my_service`, which
   no standard of names allows.
2. Any other becomes ASCII as in browsers, by UTS 46 without its transitional mappings. That gives
   what IDNA 2008 gives wherever that allows a name, and takes signs such as ☃ besides.
3. An address has one spelling: `127.1` and `0x7f000001` are `127.0.0.1`, as for `getaddrinfo`.
4. A dot at the end keeps DNS from appending a search domain. DNS and the Host field get it, TLS
   does not (RFC 6066 section 3).
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote

import idna

# RFC 1035 section 2.3.4, and a dot at the end. Anything longer is refused at once: converting it to
# punycode would take quadratic time.
_MAX_HOST = 254
# What RFC 3986 section 3.2.2 allows in a name, but for percent escapes, and for commas, which in a
# Host field would stand between several hosts: labels of RFC 1035 size
_LABEL = r"[a-z0-9!$&'()*+;=_~-]{1,63}"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
# Brackets stand round an IPv6 address and nowhere else (RFC 3986 section 3.2.2).
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[^\[\]:]*)(?::([0-9]*))?")
_JOINERS = "\u200c\u200d"


def ascii_host(host: str) -> str:
    """Returns a host in ASCII: a name, or an address (IPv6 without brackets).

    Percent escapes in a name are decoded (RFC 3986 section 3.2.2).

    Raises:
        ValueError: it is not a host.
    """
    if not host:
        raise ValueError("it names no host")
    if len(host) > _MAX_HOST:
        raise ValueError(f"its host has more than {_MAX_HOST} characters")
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    try:
        name = _ascii_name(unquote(host))
    except ValueError:  # UTS 46 does not allow it
        name = ""
    if len(name.removesuffix(".")) >= _MAX_HOST or not _NAME.fullmatch(name):
        raise ValueError(f"{host!r} is no host name")
    return _ipv4_address(name) or name


def tls_name(host: str) -> str:
    """Returns the name that TLS sends, and checks the certificate against.

    Raises:
        ValueError: it is not a host.
    """
    return ascii_host(host).removesuffix(".")


def split_authority(authority: str) -> tuple[str, int | None]:
    """Splits `example.com:80`, as in a Host field, into host and port.

    The host is as `ascii_host` returns it; the port is None if there is none.

    Raises:
        ValueError: it is not a host with an optional port.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ValueError(f"{authority!r} is no host and port")
    host = ascii_host(match[1].strip("[]"))
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"{port} is no port")
    return host, port


def _ascii_name(name: str) -> str:
    """Maps a name to ASCII: UTS 46 section 4.2, with the checks of the browsers' URL standard.

    Raises:
        ValueError: the name is not valid.
    """
    if name.isascii():
        return name.lower()
    mapped = idna.uts46_remap(name, std3_rules=False)
    return ".".join(
        label if label.isascii() else f"xn--{_checked(label).encode('punycode').decode()}"
        for label in mapped.split(".")
    )


def _checked(label: str) -> str:
    """Checks a mapped label (UTS 46 section 4.1), and returns it.

    Raises:
        ValueError: the label is not valid.
    """
    idna.check_initial_combiner(label)
    idna.check_bidi(label)
    if label.startswith("xn--"):
        raise ValueError("punycode is ASCII")
    for position, letter in enumerate(label):
        if letter in _JOINERS and not idna.valid_contextj(label, position):
            raise ValueError("a joiner joins nothing")
    return label


def _ipv4_address(name: str) -> str | None:
    """Returns the address that a name spells, in four decimal numbers; None if it is a name.

    Up to three numbers of a byte each are followed by one for all bytes that are left. `0x` begins
    a hexadecimal number, `0` an octal one.
    """
    try:
        *leading, last = map(_number, name.removesuffix(".").split("."))
        if len(leading) > 3 or any(number > 255 for number in leading):
            return None
        return str(ipaddress.IPv4Address(bytes(leading) + last.to_bytes(4 - len(leading), "big")))
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> int:
    if not re.fullmatch(r"0x[0-9a-f]+|[0-9]+", text):
        raise ValueError("no number")
    if text.startswith("0x"):
        return int(text, 16)
    return int(text, 8 if text.startswith("0") else 10)
