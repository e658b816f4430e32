"""The request that a client opens with: an HTTP head, and the draft that it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import attrs

from ._http.address import Address
from ._http.cookies import cookies_in
from ._http.headers import Headers
from ._http.request import parse_request_head
from ._registry import Draft


@attrs.frozen
class Request:
    """The request that a client opens with."""

    line: bytes
    """The request line as it came, without its line end."""
    headers: Headers
    """Its fields."""
    draft: Draft | None = None
    """The draft that the connection speaks; None if that is not known."""
    secure: bool = False
    """Whether it came over TLS: this server's own, or that of a proxy in `trusted_proxies`."""
    wildcard: str = ""
    """The part of the path that the `*` of its route matched; empty if the route has none."""
    remote: Address | None = None
    """The client's address, as `Connection.remote`; None if its stream has none."""
    local: Address | None = None
    """The address that it connected to, as `Connection.local`; None if the stream has none."""
    # No type: this room has nothing to do with `ssl`.
    ssl_object: Any = attrs.field(default=None, eq=False, repr=False)
    """The `ssl.SSLObject` of this server's own TLS, as `Connection.ssl_object`; else None."""
    path_params: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)
    """What the names in its route stand for, as `{"room": "blue"}` for `/rooms/{room}`; empty if
    the route has none."""

    @classmethod
    def parse(cls, head: bytes) -> Request:
        """Parses a whole head, its blank line included.

        Raises:
            BadHead: it is not an HTTP/1 request.
        """
        return cls(*parse_request_head(head))

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """The client's certificate, as `Connection.peer_certificate`."""
        return certificate_in(self.ssl_object)

    @property
    def method(self) -> str:
        """`GET`, for every WebSocket request."""
        return self.line[: self.line.find(b" ")].decode("latin-1")

    @property
    def raw_target(self) -> bytes:
        """Path and query as they came.

        Racket's client sends spaces and UTF-8 unescaped, so this is everything between the first
        and the last space of the line.
        """
        return self.line[self.line.find(b" ") + 1 : self.line.rfind(b" ")]

    @property
    def target(self) -> str:
        """Path and query as they came, read as Latin-1 like all of a head."""
        return self.raw_target.decode("latin-1")

    @property
    def raw_path(self) -> bytes:
        """The path as it came, with its percent escapes; without the host of a whole URL."""
        path = self.raw_target.partition(b"?")[0]
        if self._authority is None:
            return path
        return b"/" + path.partition(b"://")[2].partition(b"/")[2]

    @property
    def path(self) -> str:
        """The path as text, with its percent escapes decoded."""
        return unquote_to_bytes(self.raw_path).decode("utf-8", "replace")

    @property
    def query(self) -> str:
        """What follows the first `?`, with its percent escapes; empty if there is none."""
        return self.target.partition("?")[2]

    @property
    def host(self) -> str | None:
        """The Host field: a name, and the port if it is not the scheme's default.

        If the target is a whole URL, its host takes precedence (RFC 9112 section 3.2.2).
        """
        authority = self._authority
        return self.headers.get("Host") if authority is None else authority.decode("latin-1")

    @property
    def _authority(self) -> bytes | None:
        # RFC 9112 section 3.2.2: every server must accept a whole URL as the target
        target = self.raw_target
        if target.startswith(b"/"):
            return None
        _, separator, rest = target.partition(b"?")[0].partition(b"://")
        return rest.partition(b"/")[0] if separator else None

    @property
    def location(self) -> str:
        """The requested URL: Host and target verbatim (hixie-76 section 5.2)."""
        target = self.target
        if self._authority is not None:
            # The host of a whole URL is in `self.host` already, and its path may be left out.
            path, mark, query = target.partition("?")
            target = f"/{path.partition('://')[2].partition('/')[2]}{mark}{query}"
        return f"{'wss' if self.secure else 'ws'}://{self.host or ''}{target}"

    @property
    def origin(self) -> str | None:
        """The origin of the page that opened this, which browsers always send; None without one."""
        names = self.draft.origin_fields if self.draft else ("Origin",)
        return next((self.headers[name] for name in names if name in self.headers), None)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name, each value as it was sent.

        If a name occurs several times, its first value counts: that of the more specific path (RFC
        6265 section 5.4).
        """
        return cookies_in(self.headers.get_all("Cookie"))

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client asks for, in order of preference."""
        if self.draft is None:
            return ()
        return self.draft.subprotocols.asked(self.headers.get_all(self.draft.subprotocol_field))


def certificate_in(session: Any) -> dict[str, Any] | None:
    """Returns the certificate that the peer has shown in a TLS session, and that was verified.

    Args:
        session: an `ssl.SSLObject`, or None.
    """
    # `getpeercert` returns an empty dict for one that was not verified.
    return None if session is None else session.getpeercert() or None
