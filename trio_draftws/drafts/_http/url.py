"""Parses the URLs of WebSocket servers (ws and wss) and of proxies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit

import attrs

from .host import split_authority

_CONTROL_OR_SPACE_AROUND = re.compile(r"[\x00-\x1f\x7f]|^ | $")
# What a URL must escape (RFC 3986 section 2), besides controls and what is not ASCII. Other parsers
# take a backslash for a slash, so for them the host ends there.
NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]")
# User and password end at the last @: better to hide too much than too little.
_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
# What RFC 3986 allows in a path or a query, and "%", so that escapes stay as they are
_SAFE = "/?:@!$&'()*+,;=~-._%[]"


@attrs.frozen(repr=False)
class SplitURL:
    """The parts of a URL, of a WebSocket server or of a proxy."""

    scheme: str
    host: str
    """As `ascii_host` returns it: an IPv6 address without brackets, a name with its final dot."""
    port: int | None
    user: tuple[str, str] | None
    """User and password, with their percent escapes decoded."""
    resource: str
    """Path and query as they were written, including a `?` with nothing after it."""


def split_url(url: object, *, what: str, schemes: Sequence[str]) -> SplitURL:
    """Splits a URL into its parts.

    Args:
        url: the URL.
        what: what kind of URL is expected, for the messages.
        schemes: the schemes that are allowed.

    Raises:
        TypeError: `url` is not a str.
        ValueError: it is not such a URL; the message says what was expected, and shows no user or
            password.
    """

    def bad(why: str) -> ValueError:
        return ValueError(f"not a {what} URL: {without_user(url)!r}: {why}")

    if not isinstance(url, str):
        raise TypeError(f"a {what} URL is a str, not {type(url).__name__}")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in url):
        raise bad("it holds a lone surrogate")
    if _CONTROL_OR_SPACE_AROUND.search(url):
        raise bad("it holds a control character or begins or ends in a space")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        # Python's message repeats a part of the URL, which may be half a password.
        raise bad(_ESCAPE_IT if "@" in url else str(error)) from None
    scheme = parts.scheme.lower()
    if scheme not in schemes:
        raise bad(f"the scheme is {scheme!r}, expected {_either(schemes)}{_hint(url, scheme)}")
    if "#" in url:
        raise bad(f"{what} URLs have no fragment (write a # in the path as %23)")
    user, _, netloc = parts.netloc.rpartition("@")
    if NOT_IN_URL.search(user):
        raise bad(_ESCAPE_IT)
    if port == 0:
        raise bad("nothing listens on port 0")
    try:
        host, _ = split_authority(netloc)
    except ValueError as error:
        raise bad(_ESCAPE_IT if "@" in parts.path + parts.query else str(error)) from None
    return SplitURL(
        scheme=scheme,
        host=host,
        port=port,
        user=_user_and_password(user) if user else None,
        resource=parts.path + ("?" + parts.query if "?" in url else ""),
    )


_ESCAPE_IT = (
    "it cannot be read (in user and password write / as %2F, ? as %3F, # as %23, @ as %40, "
    "\\ as %5C, a space as %20, and so on)"
)


def without_user(url: object) -> object:
    """Returns a URL for a message, without what may be its user and password."""
    return _USER.sub(r"\1...@", url) if isinstance(url, str) else url


def _user_and_password(text: str) -> tuple[str, str]:
    user, _, password = text.partition(":")
    return unquote(user), unquote(password)


def _either(schemes: Sequence[str]) -> str:
    *most, last = [f"{scheme}://" for scheme in schemes]
    return f"{', '.join(most)} or {last}"


def _hint(url: str, scheme: str) -> str:
    """Suggests ws for http, and wss for https."""
    meant = {"http": "ws", "https": "wss"}.get(scheme)
    if meant is None:
        return ""
    return f"; write {without_user(meant + url[len(scheme) :])!r}"


@attrs.frozen
class WebSocketURL:
    """A parsed ws or wss URL (hixie-76 section 3, RFC 6455 section 3)."""

    secure: bool
    host: str
    """As `ascii_host` returns it: an IPv6 address without brackets, a name with its final dot."""
    port: int
    resource: str
    """Path and query, percent-escaped, as the request line has them."""
    user: tuple[str, str] | None = attrs.field(default=None, repr=False, eq=False)
    """User and password, which are in no other property."""

    @classmethod
    def parse(cls, url: object) -> WebSocketURL:
        """Parses a URL.

        Raises:
            TypeError: `url` is not a str.
            ValueError: it is not a WebSocket URL; the message says what was expected.
        """
        split = split_url(url, what="WebSocket", schemes=("ws", "wss"))
        secure = split.scheme == "wss"
        target = split.resource
        return cls(
            secure=secure,
            host=split.host,
            port=split.port or _default_port(secure),
            resource=quote(target if target.startswith("/") else "/" + target, safe=_SAFE),
            user=split.user,
        )

    @property
    def origin(self) -> tuple[bool, str, int]:
        """Whether it is secure, host and port: the same for all URLs of a server (RFC 6454)."""
        return self.secure, self.host, self.port

    @property
    def host_field(self) -> str:
        """The value of the Host field; it has the port only if that is not the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.secure) else f"{host}:{self.port}"

    @property
    def location(self) -> str:
        """The whole URL, as hixie-75 and hixie-76 compare it with the server's answer."""
        return f"{'wss' if self.secure else 'ws'}://{self.host_field}{self.resource}"

    @property
    def page_origin(self) -> str:
        """The origin of a page on the same host and port."""
        return f"{'https' if self.secure else 'http'}://{self.host_field}"


def _default_port(secure: bool) -> int:
    return 443 if secure else 80


def is_ws_url(x: object) -> bool:
    """Whether `x` is a str with a `ws://` or `wss://` URL. It never raises."""
    return _parsed(x) is not None


def is_wss_url(x: object) -> bool:
    """Whether `x` is a str with a `wss://` URL. It never raises."""
    url = _parsed(x)
    return url is not None and url.secure


def _parsed(x: object) -> WebSocketURL | None:
    # By its type: an object's `__class__` may lie, or raise.
    if not issubclass(type(x), str):
        return None
    try:
        return WebSocketURL.parse(x)
    except ValueError:
        return None
