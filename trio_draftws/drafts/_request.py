"""The request that a client opens with: an HTTP head, and the draft that it speaks."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import attrs

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
    """The draft that the connection speaks; None while that is not known."""
    secure: bool = False
    """Whether it came through TLS of our own."""
    wildcard: str = ""
    """What of the path the `*` of a route stands for; empty where it followed none that has one."""
    remote: str | None = None
    """The address that the client connects from, as `192.0.2.1`, while the request is answered;
    None where its stream has none, and afterwards."""

    @classmethod
    def parse(cls, head: bytes) -> Request:
        """Parses a whole head, its blank line included.

        Raises:
            BadHead: it is not an HTTP/1 request.
        """
        return cls(*parse_request_head(head))

    @property
    def method(self) -> str:
        """`GET`, for every WebSocket request."""
        return self.line[: self.line.find(b" ")].decode("latin-1")

    @property
    def raw_target(self) -> bytes:
        """What was asked for, as it came.

        Racket's client sends spaces and UTF-8 unescaped, so this is all between the first and
        the last space of the line.
        """
        return self.line[self.line.find(b" ") + 1 : self.line.rfind(b" ")]

    @property
    def target(self) -> str:
        """Path and query as they came, read as Latin-1 like all of a head."""
        return self.raw_target.decode("latin-1")

    @property
    def raw_path(self) -> bytes:
        """The path as it came, escapes and all; without the host, where the target names one."""
        path = self.raw_target.partition(b"?")[0]
        if self._authority is None:
            return path
        return b"/" + path.partition(b"://")[2].partition(b"/")[2]

    @property
    def path(self) -> str:
        """The path as text, with its percent escapes undone."""
        return unquote_to_bytes(self.raw_path).decode("utf-8", "replace")

    @property
    def query(self) -> str:
        """What follows the first `?`, escapes and all; empty where there is none."""
        return self.target.partition("?")[2]

    @property
    def host(self) -> str | None:
        """The Host field: a name, and the port where it is not the scheme's default.

        Where the target is a whole URL, its host goes before the field (RFC 9112 section 3.2.2).
        """
        authority = self._authority
        return self.headers.get("Host") if authority is None else authority.decode("latin-1")

    @property
    def _authority(self) -> bytes | None:
        # RFC 9112 section 3.2.2: any server has to take a whole URL for a target
        target = self.raw_target
        if target.startswith(b"/"):
            return None
        _, separator, rest = target.partition(b"?")[0].partition(b"://")
        return rest.partition(b"/")[0] if separator else None

    @property
    def location(self) -> str:
        """The URL that was asked for: Host and target verbatim (hixie-76 section 5.2)."""
        target = self.target
        if self._authority is not None:
            # Of a whole URL the host stands before it already, and its path may be left out.
            path, mark, query = target.partition("?")
            target = f"/{path.partition('://')[2].partition('/')[2]}{mark}{query}"
        return f"{'wss' if self.secure else 'ws'}://{self.host or ''}{target}"

    @property
    def origin(self) -> str | None:
        """Where the page that opens this came from, if the client says: browsers always do."""
        names = self.draft.origin_fields if self.draft else ("Origin",)
        return next((self.headers[name] for name in names if name in self.headers), None)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that came, each value as it is written there.

        Of several with one name it is the first, the one of the more specific path (RFC 6265
        section 5.4).
        """
        return cookies_in(self.headers.get_all("Cookie"))

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols asked for, the client's favourite first."""
        if self.draft is None:
            return ()
        return self.draft.subprotocols.asked(self.headers.get_all(self.draft.subprotocol_field))
