"""WebSocket URLs: ws and wss, a host, a port, what to ask for."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit

import attrs

_CONTROL_OR_SPACE_AROUND = re.compile(r"[\x00-\x1f\x7f]|^ | $")
_HOST = re.compile(r"[a-z0-9!$&'()*+,;=._~%-]+")
# RFC 1035 section 2.3.4, and a dot at the end. What is longer is not even looked at: to write it in
# punycode would take quadratic time.
_MAX_HOST = 254
# Brackets stand round an IPv6 address and nowhere else (RFC 3986 section 3.2.2).
_NETLOC = re.compile(r"(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[^\[\]:]*)(:[0-9]*)?")
# What RFC 3986 allows in a path or a query, and "%", so that escapes stay as they are
_SAFE = "/?:@!$&'()*+,;=~-._%[]"


@attrs.frozen
class WebSocketURL:
    """A URL taken apart (hixie-76 section 3, RFC 6455 section 3)."""

    secure: bool
    host: str
    """Lower case; punycode where it was not ASCII; an IPv6 address without brackets."""
    port: int
    resource: str
    """Path and query, percent-escaped: what stands in the request line."""

    @classmethod
    def parse(cls, url: object) -> WebSocketURL:
        """Takes `url` apart.

        Raises:
            TypeError: it is no str.
            ValueError: it is no WebSocket URL; the message says what was expected.
        """
        if not isinstance(url, str):
            raise TypeError(f"a WebSocket URL is a str, not {type(url).__name__}")
        if any(0xD800 <= ord(character) <= 0xDFFF for character in url):
            raise _bad(url, "it holds a lone surrogate")
        if _CONTROL_OR_SPACE_AROUND.search(url):
            raise _bad(url, "it holds a control character or begins or ends in a space")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise _bad(url, str(error)) from None
        scheme = parts.scheme.lower()
        if scheme not in ("ws", "wss"):
            raise _bad(url, f"the scheme is {scheme!r}, expected ws:// or wss://")
        if "#" in url:
            raise _bad(url, "WebSocket URLs have no fragment (write a # in the path as %23)")
        if "@" in parts.netloc:
            raise _bad(url, "user and password have no place in it; send an Authorization header")
        if not _NETLOC.fullmatch(parts.netloc):
            raise _bad(url, f"{parts.netloc!r} is no host and port")
        secure = scheme == "wss"
        if port == 0:
            raise _bad(url, "nothing listens on port 0")
        try:
            host = _ascii_host(parts.hostname or "")
        except ValueError as error:
            raise _bad(url, str(error)) from None
        target = parts.path or "/"
        if "?" in url:
            target += "?" + parts.query
        return cls(
            secure=secure,
            host=host,
            port=port or _default_port(secure),
            resource=quote(target, safe=_SAFE),
        )

    @property
    def host_field(self) -> str:
        """The Host field: the port is named only where it is not the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.secure) else f"{host}:{self.port}"

    @property
    def location(self) -> str:
        """The URL again, in the form that the drafts to hixie-76 compare."""
        return f"{'wss' if self.secure else 'ws'}://{self.host_field}{self.resource}"

    @property
    def page_origin(self) -> str:
        """The origin of a page on the same host and port."""
        return f"{'https' if self.secure else 'http'}://{self.host_field}"


def _default_port(secure: bool) -> int:
    return 443 if secure else 80


def _ascii_host(host: str) -> str:
    """The host as it is written on the wire.

    Raises:
        ValueError: it is none.
    """
    if len(host) > _MAX_HOST:
        raise ValueError(f"its host has more than {_MAX_HOST} characters")
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    try:
        ascii_host = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        ascii_host = ""
    if not _HOST.fullmatch(ascii_host):
        raise ValueError(f"{host!r} is no host name" if host else "it names no host")
    return ascii_host


def _bad(url: str, why: str) -> ValueError:
    return ValueError(f"not a WebSocket URL: {url!r}: {why}")


def is_ws_url(x: object) -> bool:
    """Whether `x` is a str that holds a `ws://` URL; never an exception."""
    return _is_url(x, secure=False)


def is_wss_url(x: object) -> bool:
    """Whether `x` is a str that holds a `wss://` URL; never an exception."""
    return _is_url(x, secure=True)


def _is_url(x: object, *, secure: bool) -> bool:
    # By its type: an object may lie about its class, or raise when asked.
    if not issubclass(type(x), str):
        return False
    try:
        return WebSocketURL.parse(x).secure is secure
    except ValueError:
        return False
