"""WebSocket URLs: ws and wss, a host, a port, what to ask for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit

import attrs

from .host import split_authority

_CONTROL_OR_SPACE_AROUND = re.compile(r"[\x00-\x1f\x7f]|^ | $")
# What no URL holds but as an escape (RFC 3986 section 2), beside controls and what is not ASCII.
# Other readers take a backslash for a slash, so that for them the host ends there.
NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]")
# User and password end at the last @: too much is hidden rather than too little.
_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
# What RFC 3986 allows in a path or a query, and "%", so that escapes stay as they are
_SAFE = "/?:@!$&'()*+,;=~-._%[]"


@attrs.frozen(repr=False)
class SplitURL:
    """What URLs of WebSocket servers and of proxies have in common."""

    scheme: str
    host: str
    """As `ascii_host` writes it: an IPv6 address without brackets, a name with its final dot."""
    port: int | None
    user: tuple[str, str] | None
    """User and password, with their percent escapes undone."""
    resource: str
    """Path and query as they were written, and the `?` also where nothing stands behind it."""


def split_url(url: object, *, what: str, schemes: Sequence[str]) -> SplitURL:
    """Takes a URL apart; `what` says what it is, for the messages, and `schemes` what it may be.

    No message shows a user or a password.

    Raises:
        TypeError: it is no str.
        ValueError: it is no such URL; the message says what was expected.
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
        # What Python says repeats what it read, which may be half a password.
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
    """A URL for a message: what may be its user and password left out."""
    return _USER.sub(r"\1...@", url) if isinstance(url, str) else url


def _user_and_password(text: str) -> tuple[str, str]:
    user, _, password = text.partition(":")
    return unquote(user), unquote(password)


def _either(schemes: Sequence[str]) -> str:
    *most, last = [f"{scheme}://" for scheme in schemes]
    return f"{', '.join(most)} or {last}"


def _hint(url: str, scheme: str) -> str:
    """What was meant by the scheme of a page."""
    meant = {"http": "ws", "https": "wss"}.get(scheme)
    if meant is None:
        return ""
    return f"; write {without_user(meant + url[len(scheme) :])!r}"


@attrs.frozen
class WebSocketURL:
    """A URL taken apart (hixie-76 section 3, RFC 6455 section 3)."""

    secure: bool
    host: str
    """As `ascii_host` writes it: an IPv6 address without brackets, a name with its final dot."""
    port: int
    resource: str
    """Path and query, percent-escaped: what stands in the request line."""
    user: tuple[str, str] | None = attrs.field(default=None, repr=False, eq=False)
    """User and password, which no other property shows."""

    @classmethod
    def parse(cls, url: object) -> WebSocketURL:
        """Takes `url` apart.

        Raises:
            TypeError: it is no str.
            ValueError: it is no WebSocket URL; the message says what was expected.
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
        """Scheme, host and port: who it is that is asked (RFC 6454)."""
        return self.secure, self.host, self.port

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


def is_ws_url(x: object) -> bool:
    """Whether `x` is a str that holds a `ws://` or a `wss://` URL; never an exception."""
    return _parsed(x) is not None


def is_wss_url(x: object) -> bool:
    """Whether `x` is a str that holds a `wss://` URL; never an exception."""
    url = _parsed(x)
    return url is not None and url.secure


def _parsed(x: object) -> WebSocketURL | None:
    # By its type: an object may lie about its class, or raise when asked.
    if not issubclass(type(x), str):
        return None
    try:
        return WebSocketURL.parse(x)
    except ValueError:
        return None
