"""What an opening handshake settles: the draft, the roles, the peer's head, what was agreed on."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import attrs

from trio_draftws._transport.addresses import NO_ENDS, PackedEnds, unpack_local, unpack_remote
from trio_draftws.drafts import (
    Address,
    Draft,
    Headers,
    NegotiatedParameters,
    Request,
    Response,
    Role,
    WebSocketURL,
    certificate_in,
)

if TYPE_CHECKING:
    import ssl


@attrs.define(eq=False, repr=False, kw_only=True)
class ConnectionInfo:
    """The facts of a connection that do not change any more, and a place for the program's own."""

    draft: Draft
    """The draft that the connection speaks."""
    role: Role
    """Which side of the connection this is, `"client"` or `"server"`."""
    state: Any = None
    """For your program, which may set it at any time; by default None. On a server it is at first
    the state that `conn_headers` returned."""
    _agreement: NegotiatedParameters
    # What the peer opened with; parsed on demand, since ten parsed fields take two kilobytes.
    _head: bytes
    _secure: bool
    _wildcard: str = ""
    _ends: PackedEnds = NO_ENDS
    _url: WebSocketURL | None = None

    @property
    def url(self) -> str:
        """The URL of the connection, without user and password: on a client the one that was
        opened, after all redirects; on a server the one that was requested.
        """
        return self.request.location if self._url is None else self._url.location

    @property
    def remote(self) -> Address | None:
        """The address of the peer; None if the stream has none, as in memory.

        On a server it is the client's, also behind proxies if the server knows them (see
        `trusted_proxies` and `proxy_protocol_factory`). On a client that uses a proxy it is the
        proxy's. It stays when the peer has gone, and after the connection was closed.
        """
        return unpack_remote(self._ends)

    @property
    def local(self) -> Address | None:
        """The address of this side of the stream; None if the stream has none, as in memory.

        On a server behind a proxy that speaks the PROXY protocol it is the address that the client
        connected to. It stays after the connection was closed.
        """
        return unpack_local(self._ends)

    @property
    @abstractmethod
    def ssl_object(self) -> ssl.SSLObject | None:
        """The TLS session, for its `version`, `cipher` or `selected_alpn_protocol`; None without
        TLS, or if it ended at a proxy. It only tells: do not read, write or close with it.
        """

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """The certificate that the peer showed in TLS and that was verified, as
        `ssl.SSLObject.getpeercert` returns it; None if there was none.

        A client verifies the server's by default. A server asks its clients for one if its context
        has `verify_mode` set. For the certificate as bytes call `ssl_object.getpeercert(True)`.
        """
        return certificate_in(self.ssl_object)

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that both sides agreed on; None if they agreed on none."""
        return self._agreement.subprotocol

    @property
    def compression(self) -> str | None:
        """The compression that both sides agreed on, with its parameters, as in
        `Sec-WebSocket-Extensions`; None if they agreed on none.
        """
        deflate = self._agreement.deflate
        return None if deflate is None else deflate.field

    @property
    def line(self) -> bytes:
        """The request line on a server, the status line on a client."""
        return self._head.partition(b"\r\n")[0]

    @property
    def headers(self) -> Headers:
        """The header fields that the peer sent; parsed again on each access."""
        return (Request if self.role == "server" else Response).parse(self._head).headers

    @property
    def request(self) -> Request:
        """On a server, the request that the client opened with.

        Raises:
            AttributeError: this is the client's side; see `response`.
        """
        if self.role != "server":
            raise AttributeError("the client's side of a connection has a response, no request")
        parsed = Request.parse(self._head)
        return Request(
            parsed.line,
            parsed.headers,
            self.draft,
            self._secure,
            self._wildcard,
            remote=self.remote,
            local=self.local,
            ssl_object=self.ssl_object,
        )

    @property
    def response(self) -> Response:
        """On a client, the server's answer.

        Raises:
            AttributeError: this is the server's side; see `request`.
        """
        if self.role != "client":
            raise AttributeError("the server's side of a connection has a request, no response")
        return Response.parse(self._head)
