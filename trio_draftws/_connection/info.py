"""What an opening handshake leaves behind: who speaks which draft, and what was said and agreed."""

from __future__ import annotations

from typing import Any

import attrs

from trio_draftws.drafts import (
    Draft,
    Headers,
    NegotiatedParameters,
    Request,
    Response,
    Role,
    WebSocketURL,
)


@attrs.define(eq=False, repr=False, kw_only=True)
class ConnectionInfo:
    """The facts of a connection that do not change any more, and a place for the program's own."""

    draft: Draft
    """The draft that it speaks."""
    role: Role
    """Which side of it this is, `"client"` or `"server"`."""
    state: Any = None
    """What your program wants to remember of it, and may set at any time. On a server, at first
    what `conn_headers` returned beside the fields."""
    _agreement: NegotiatedParameters
    # What the peer opened with; parsed on demand, since ten parsed fields take two kilobytes.
    _head: bytes
    _secure: bool
    _wildcard: str = ""
    _url: WebSocketURL | None = None

    @property
    def url(self) -> str:
        """The URL of the connection, without user and password: on a client the one that it was
        opened at, behind all redirects; on a server the one that was asked for.
        """
        return self.request.location if self._url is None else self._url.location

    @property
    def subprotocol(self) -> str | None:
        """What both sides agreed on."""
        return self._agreement.subprotocol

    @property
    def compression(self) -> str | None:
        """The extension that both sides agreed to compress with, and its parameters; None where
        they agreed to none.
        """
        deflate = self._agreement.deflate
        return None if deflate is None else deflate.field

    @property
    def line(self) -> bytes:
        """The request line on a server, the status line on a client."""
        return self._head.partition(b"\r\n")[0]

    @property
    def headers(self) -> Headers:
        """The fields that the peer sent; parsed anew at each look."""
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
        return attrs.evolve(request, draft=self.draft, secure=self._secure, wildcard=self._wildcard)

    @property
    def response(self) -> Response:
        """On a client, the server's answer.

        Raises:
            AttributeError: this is the server's side; see `request`.
        """
        if self.role != "client":
            raise AttributeError("the server's side of a connection has a request, no response")
        return Response.parse(self._head)
