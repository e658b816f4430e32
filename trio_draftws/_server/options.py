"""What a server demands and offers: made from its settings once, used for every connection."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from trio_draftws._settings.checks import (
    check_async_function,
    check_function,
    check_subprotocols,
    check_sync_result,
    tuple_of,
)
from trio_draftws._settings.framing_mode import framing_mode
from trio_draftws._settings.limits import Limits
from trio_draftws._transport.addresses import TrustedPeers
from trio_draftws._transport.proxy_protocol import ProxyProtocol
from trio_draftws._transport.sockets import StreamFactory
from trio_draftws._transport.tls import ssl_stream_factory
from trio_draftws.drafts import (
    Address,
    Compression,
    Draft,
    HTTPResponse,
    Request,
    allowed_drafts,
    draft_named,
    spoken_today,
)

from .flash_policy import PolicyFile
from .origins import OriginCheck
from .routing import Routes, with_routes
from .settings import (
    AcceptSettings,
    AnswerHook,
    ConnHeaders,
    FramingModeSelector,
    Handler,
    HTTPHandler,
    SubprotocolSelector,
)


@attrs.frozen(kw_only=True)
class ServerOptions:
    """The settings of a server, checked and in the form that the handshake needs."""

    limits: Limits
    drafts: tuple[Draft, ...]
    origins: OriginCheck
    handler: Handler | None
    """Serves every path; None if there are routes, or no handler at all, as for `accept`."""
    routes: Routes[Handler] | None
    """The handler of each path; None if one serves all."""
    conn_headers: ConnHeaders | None
    http_handler: HTTPHandler | Routes[HTTPHandler | HTTPResponse] | None
    flash_policy: PolicyFile | None
    framing_mode: FramingModeSelector
    subprotocols: Sequence[str] | SubprotocolSelector
    on_answer: AnswerHook | None
    compression: Compression | None
    stream_factory: StreamFactory | None
    trusted_proxies: TrustedPeers
    fast_draft: Draft | None = attrs.field(init=False)
    """The draft of the requests that `ServerHandshake` can answer without the full parser; None
    if it answers none in that way.
    """
    needs_request: bool = attrs.field(init=False)
    """Whether such a request has to be parsed all the same, because something here looks at it."""

    @fast_draft.default
    def _find_fast_draft(self) -> Draft | None:
        return spoken_today(self.drafts) if self.stream_factory is None else None

    @needs_request.default
    def _does_need_request(self) -> bool:
        hooks = (self.conn_headers, self.routes, self.on_answer)
        return (
            not self.origins.allows_all
            or callable(self.subprotocols)
            or bool(self.trusted_proxies)
            or any(hook is not None for hook in hooks)
        )

    @classmethod
    def of(
        cls,
        settings: AcceptSettings,
        conn_headers: ConnHeaders | None,
        handler: Handler | Routes[Handler] | None = None,
    ) -> ServerOptions:
        """Checks the settings, which must be complete, and returns them in this form.

        Raises:
            ValueError: no draft has that name, or an argument is out of range.
            TypeError: an argument is of the wrong type.
        """
        stream_factory, ssl_context = settings["stream_factory"], settings["ssl_context"]
        if ssl_context is not None:
            if stream_factory is not None:
                raise ValueError("give ssl_context or stream_factory, not both")
            stream_factory = ssl_stream_factory(ssl_context)
        if conn_headers is not None:
            check_async_function("conn_headers", conn_headers, "request")
        http_handler = settings["http_handler"]
        pages: HTTPHandler | Routes[HTTPHandler | HTTPResponse] | None = None
        if http_handler is not None:
            pages = with_routes("http_handler", http_handler, "request", or_else=(HTTPResponse,))
        subprotocols = settings["subprotocols"]
        if callable(subprotocols):
            check_function("subprotocols", subprotocols, "request")
        else:
            subprotocols = check_subprotocols(subprotocols)
        drafts = settings["drafts"]
        if drafts is not None:
            drafts = tuple_of("drafts", drafts, "names of drafts", str, Draft)
        # Checked now: a name that no draft has is the caller's mistake, not a client's.
        draft_named(framing_mode.get())
        return cls(
            limits=Limits.of(settings),
            drafts=allowed_drafts(drafts),
            origins=OriginCheck.of(settings["origins"]),
            handler=None if isinstance(handler, Routes) else handler,
            routes=handler if isinstance(handler, Routes) else None,
            conn_headers=conn_headers,
            http_handler=pages,
            flash_policy=PolicyFile.of(settings["flash_policy"]),
            framing_mode=settings["framing_mode"] or (lambda request: framing_mode.get()),
            subprotocols=subprotocols,
            on_answer=settings["on_answer"],
            compression=settings["compression"],
            stream_factory=stream_factory,
            trusted_proxies=TrustedPeers.of("trusted_proxies", settings["trusted_proxies"]),
        )

    def is_proxy(self, address: Address | None) -> bool:
        """Returns whether whoever has that address may say that it speaks for a client."""
        factory = self.stream_factory
        if isinstance(factory, ProxyProtocol) and factory.trusted.trusts(address):
            return True
        return self.trusted_proxies.trusts(address)

    def choose_subprotocol(self, request: Request) -> str | None:
        """Returns one of the subprotocols that the client offers, or None.

        Raises:
            ValueError: the application's function chose one that was not offered.
            TypeError: that function is async.
            Exception: whatever that function raises.
        """
        if not callable(self.subprotocols):
            return self.first_subprotocol(request.subprotocols)
        chosen = check_sync_result("subprotocols", self.subprotocols(request))
        offered = request.subprotocols
        if chosen is not None and chosen not in offered:
            raise ValueError(
                f"subprotocols returned {chosen!r} for a client that offers {list(offered)}; "
                "it returns one of request.subprotocols, or None"
            )
        return chosen

    def first_subprotocol(self, offered: Sequence[str]) -> str | None:
        """Returns the preferred of the listed subprotocols that the client offers, or None."""
        assert not callable(self.subprotocols)
        return next((name for name in self.subprotocols if name in offered), None)

    def is_websocket_only(self, request: Request) -> bool:
        """Returns whether the path of a request leads to a handler, and to no page."""
        return (
            self.routes is not None
            and isinstance(self.http_handler, Routes)
            and self.http_handler.find(request) is None
            and self.routes.find(request) is not None
        )
