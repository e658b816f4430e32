"""All that it takes to open one connection: what to ask for, in which drafts, and the way there."""

from __future__ import annotations

import math
import ssl
from collections.abc import Mapping, Sequence

import attrs
import trio

from ._advice import advice_on, is_unknown_draft, versions_spoken
from ._ask import ask
from ._basic_auth import write_basic
from ._checks import (
    check_async_function,
    check_auth,
    check_compression,
    check_ssl_context,
    check_whole,
)
from ._connection.connection import Connection
from ._connection.scope import Scope
from ._dial import Route, dial
from ._exceptions import Rejected
from ._framing_mode import framing_mode
from ._handshake import check_subprotocols, dress, opening
from ._limits import Limits
from ._redirects import is_redirect, redirected
from ._transport.sockets import StreamFactory
from ._transport.tls import ssl_stream_factory
from .drafts import (
    Ask,
    Compression,
    Draft,
    HandshakeError,
    HeaderFields,
    Headers,
    Response,
    WebSocketURL,
    checked_fields,
    draft_named,
    ladder,
    write_cookies,
)


@attrs.frozen
class Call:
    """What the arguments of `open_websocket` come to; it may be made several times."""

    wish: Ask
    rungs: Sequence[Draft]
    """The drafts to try, one after the other."""
    route: Route
    ssl_context: ssl.SSLContext | None
    stream_factory: StreamFactory | None
    limits: Limits
    max_redirects: int

    async def open(self, scope: Scope) -> Connection:
        """Opens a connection, whose nursery is that of `scope`; tells its instruments of failure.

        Raises:
            HandshakeError: it did not come about.
        """
        try:
            return await self._follow(scope)
        except HandshakeError as error:
            if scope.instruments is not None:
                target = self.wish.url
                peer = f"{target.host} port {target.port}"
                scope.instruments.tell("opening_failed", error, peer)
            raise

    async def _follow(self, scope: Scope) -> Connection:
        """Opens a connection, behind as many redirects as it takes."""
        wish = self.wish
        seen: set[str] = set()
        while True:
            try:
                return await self._climb_down(wish, scope)
            except Rejected as rejected:
                if not self._follows(rejected):
                    raise
                wish = redirected(rejected, wish, seen, self.max_redirects)

    def _follows(self, answer: Response | Rejected) -> bool:
        # What the caller has for one server may not fit another.
        can_follow = self.route.anywhere and self.stream_factory is None
        return bool(self.max_redirects) and can_follow and is_redirect(answer)

    def _goes_on(self, answer: Response) -> bool:
        """Whether another attempt may follow that answer, in another draft or elsewhere."""
        return len(self.rungs) > 1 or self._follows(answer)

    async def _climb_down(self, wish: Ask, scope: Scope) -> Connection:
        """Opens in the first of the drafts that the server speaks; a new stream each time."""
        refusal: HandshakeError | None = None
        rungs = list(self.rungs)
        only_one = len(rungs) == 1
        factory = self.stream_factory
        if factory is None and wish.url.secure:
            factory = self._tls_to(wish.url)
        timeout = self.limits.handshake_timeout
        while rungs:
            draft = rungs.pop(0)
            started = trio.current_time()
            dialled = await dial(self.route, wish.url, timeout)
            try:
                async with opening(dialled, timeout, started):
                    stream = await dress(dialled, factory)
                    return await ask(stream, draft, wish, self.limits, scope, self._goes_on)
            except HandshakeError as error:
                if only_one:
                    error.advice = error.advice or advice_on(error, draft, secure=wish.url.secure)
                if only_one or not is_unknown_draft(error):
                    raise
                # What the server says to the newest draft tells most.
                refusal = refusal or error
                spoken = versions_spoken(error)
                if spoken:
                    rungs = [
                        rung for rung in rungs if rung.version in spoken or rung.version is None
                    ]
        assert refusal is not None
        raise refusal

    def _tls_to(self, target: WebSocketURL) -> StreamFactory:
        context = self.ssl_context or ssl.create_default_context()
        return ssl_stream_factory(context, server_hostname=target.host)


def make_call(
    url: str,
    limits: Limits,
    route: Route,
    draft: str | Draft | None,
    headers: HeaderFields,
    origin: str | None,
    subprotocols: Sequence[str],
    cookies: Mapping[str, str] | None,
    auth: tuple[str, str] | None,
    compression: Compression | None,
    ssl_context: ssl.SSLContext | None,
    stream_factory: StreamFactory | None,
    max_redirects: int,
) -> Call:
    """What these arguments of `open_websocket` come to.

    Raises:
        ValueError: they make no sense; told before anything is dialled.
        TypeError: one of them is nothing of its kind.
    """
    check_ssl_context("ssl_context", ssl_context, server_side=False)
    if stream_factory is not None:
        check_async_function("stream_factory", stream_factory, "stream")
    check_compression(compression)
    check_whole("max_redirects", max_redirects, 0, math.inf)
    if ssl_context is not None and stream_factory is not None:
        raise ValueError("give ssl_context or stream_factory, not both")
    target = WebSocketURL.parse(url)
    if target.secure and ssl_context is None and stream_factory is None:
        ssl_context = ssl.create_default_context()
    rungs = (
        ladder()
        if draft == "auto"
        else (draft_named(framing_mode.get() if draft is None else draft),)
    )
    written = {name for rung in rungs for name in rung.opening.written_fields}
    wish = Ask(
        url=target,
        headers=_with_user(checked_fields(headers, forbidden=written), cookies, auth, target.user),
        origin=origin,
        subprotocols=check_subprotocols(subprotocols),
        compression=compression,
    )
    able = _able_to_ask(rungs, wish)
    return Call(wish, able, route, ssl_context, stream_factory, limits, max_redirects)


def _with_user(
    headers: Headers,
    cookies: Mapping[str, str] | None,
    auth: tuple[str, str] | None,
    auth_of_url: tuple[str, str] | None,
) -> Headers:
    """The fields, and those that say who is asking."""
    if auth is not None and auth_of_url is not None:
        raise ValueError("give auth or a user and a password in the URL, not both")
    if auth is not None:
        check_auth(auth)
    user = auth or auth_of_url
    added: dict[str, str] = {}
    if user is not None:
        added["Authorization"] = write_basic(*user)
    if cookies is not None and (cookie := write_cookies(cookies)):
        added["Cookie"] = cookie
    if not added:
        return headers
    for name in added:
        if name in headers:
            raise ValueError(f"the header field {name} is given twice, in headers and otherwise")
    return Headers([*headers.raw, *checked_fields(added).raw])


def _able_to_ask(rungs: Sequence[Draft], wish: Ask) -> list[Draft]:
    """Those of the drafts that can ask for that.

    Raises:
        ValueError: none can.
    """
    able: list[Draft] = []
    mistake: ValueError | None = None
    for draft in rungs:
        try:
            draft.opening.ask(wish, draft.subprotocols)
        except ValueError as error:
            mistake = error
        else:
            able.append(draft)
    if not able:
        assert mistake is not None
        raise mistake
    return able
