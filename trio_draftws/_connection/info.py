"""What an opening handshake settles: the draft, the roles, the peer's head, what was agreed on."""

from __future__ import annotations

import ssl
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol

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

# The default is for type checkers: `Connection` alone is `Connection[Any]`. Running programs need
# none, and Python has it from 3.13 on.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

    State = TypeVar("State", default=Any)
else:
    from typing import TypeVar

    State = TypeVar("State")


class PathPattern(Protocol):
    """The path of a route, which all of its connections share."""

    def read(self, path: str) -> tuple[str, Mapping[str, Any]]:
        """Returns what its `*` and its names stand for in the path of a request."""
        ...


@attrs.define(eq=False, repr=False, kw_only=True)
class ConnectionInfo(Generic[State]):
    """The facts of a connection that do not change any more, and a place for the program's own."""

    draft: Draft
    """The draft that the connection speaks."""
    role: Role
    """Which side of the connection this is, `"client"` or `"server"`."""
    state: State = None  # type: ignore[assignment]
    """For your program, which may set it at any time; by default None. On a server it is at first
    the state that `conn_headers` returned."""
    _agreement: NegotiatedParameters
    # What the peer opened with; parsed on demand, since ten parsed fields take two kilobytes.
    _head: bytes
    _secure: bool
    # What it says of the path is read on demand as well. None for an exact path, or no route.
    _pattern: PathPattern | None = None
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
        request = Request.parse(self._head)
        request = attrs.evolve(
            request,
            draft=self.draft,
            secure=self._secure,
            remote=self.remote,
            local=self.local,
            ssl_object=self.ssl_object,
        )
        if self._pattern is None:
            return request
        wildcard, path_params = self._pattern.read(request.path)
        return attrs.evolve(request, wildcard=wildcard, path_params=path_params)

    @property
    def path_params(self) -> Mapping[str, Any]:
        """On a server, what the names in its route stand for, as `{"room": "blue"}` for
        `/rooms/{room}`; read from the path again on each access. Empty if there are none, and on a
        client.
        """
        return {} if self._pattern is None else self.request.path_params

    @property
    def response(self) -> Response:
        """On a client, the server's answer.

        Raises:
            AttributeError: this is the server's side; see `request`.
        """
        if self.role != "client":
            raise AttributeError("the server's side of a connection has a request, no response")
        return Response.parse(self._head)
