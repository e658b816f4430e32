"""All that it takes to open one connection: what to ask for, in which drafts, and the way there."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence

import attrs
import trio

from trio_draftws._connection.connection import Connection
from trio_draftws._connection.scope import Scope
from trio_draftws._exceptions import HandshakeTimeout, Rejected
from trio_draftws._settings.checks import check_subprotocols
from trio_draftws._settings.framing_mode import framing_mode
from trio_draftws._settings.limits import Limits
from trio_draftws._transport.opening import (
    apply_stream_factory,
    close_on_failure,
    handshake_timed_out,
)
from trio_draftws._transport.sockets import StreamFactory
from trio_draftws._transport.tls import ssl_stream_factory
from trio_draftws.drafts import (
    Draft,
    HandshakeError,
    HandshakeRequest,
    Headers,
    Response,
    WebSocketURL,
    auto_drafts,
    checked_fields,
    draft_named,
    write_basic,
    write_cookies,
)

from .dial import DialRoute, OverStream, choose_route, dial
from .handshake import ask
from .hints import advice_on, advice_on_silence, is_unknown_draft, may_be_of_draft, versions_spoken
from .redirects import is_redirect, redirected
from .settings import ClientSettings

logger = logging.getLogger("trio_draftws")

# The hosts of which was said what draft they speak: once will do for each, and a program that has
# seen so many knows by then.
_told: set[str] = set()
MOST_TOLD = 1000


@attrs.frozen
class Connector:
    """What the arguments of `open_websocket` come to; it may be made several times."""

    wish: HandshakeRequest
    drafts: Sequence[Draft]
    """The drafts to try, one after the other."""
    default: Draft | None
    """The framing mode's draft, where nobody set that and nobody named one; else None."""
    route: DialRoute
    ssl_context: ssl.SSLContext | None
    stream_factory: StreamFactory | None
    limits: Limits
    max_redirects: int

    async def open(self, scope: Scope, agreed: Draft | None = None) -> Connection:
        """Opens a connection, whose nursery is that of `scope`; tells its instruments of failure.

        `agreed` is the draft of a connection that was opened before: it is tried first.

        Raises:
            HandshakeError: it did not come about.
        """
        try:
            return await self._follow(scope, agreed)
        except HandshakeError as error:
            if scope.instruments is not None:
                target = self.wish.url
                peer = f"{target.host} port {target.port}"
                scope.instruments.tell("opening_failed", error, peer)
            raise

    async def _follow(self, scope: Scope, agreed: Draft | None) -> Connection:
        """Opens a connection, behind as many redirects as it takes."""
        wish = self.wish
        seen: set[str] = set()
        while True:
            try:
                return await self._climb_down(wish, scope, agreed)
            except HandshakeError as error:
                if isinstance(error, Rejected) and self._follows(error):
                    wish = redirected(error, wish, seen, self.max_redirects)
                    continue
                if seen and not error.advice:
                    error.advice = f"a redirect led to {wish.url.location}"
                raise

    def _follows(self, answer: Response | Rejected) -> bool:
        # What the caller has for one server may not fit another.
        can_follow = self.route.anywhere and self.stream_factory is None
        return bool(self.max_redirects) and can_follow and is_redirect(answer)

    def _goes_on(self, answer: Response) -> bool:
        """Whether another attempt may follow that answer, in another draft or elsewhere."""
        # Where no draft was named, few answers lead to another one.
        in_another = len(self.drafts) > 1 and (self.default is None or may_be_of_draft(answer))
        return in_another or self._follows(answer)

    async def _climb_down(
        self, wish: HandshakeRequest, scope: Scope, agreed: Draft | None
    ) -> Connection:
        """Opens in the first of the drafts that the server speaks; a new stream each time."""
        drafts = sorted(self.drafts, key=lambda draft: draft is not agreed)
        refusals: dict[Draft, HandshakeError] = {}
        factory = self.stream_factory
        if factory is None and wish.url.secure:
            factory = self._tls_to(wish.url)
        limits = self.limits
        while drafts:
            draft = drafts.pop(0)
            dialled: trio.abc.Stream | None = None
            asked = False
            try:
                # One deadline over TCP, the proxy, TLS and the opening handshake
                with trio.move_on_after(limits.handshake_timeout):
                    dialled = await dial(self.route, wish.url)
                    async with close_on_failure(dialled):
                        stream = await apply_stream_factory(dialled, factory)
                        asked = True
                        connection = await ask(stream, draft, wish, limits, scope, self._goes_on)
                        if self.default not in (None, draft):
                            _tell_once(wish.url.host_field, draft)
                        return connection
                if dialled is None:
                    raise _too_late_to_dial(self.route.via(wish.url), limits.handshake_timeout)
                raise handshake_timed_out(limits.handshake_timeout)
            except HandshakeError as error:
                if dialled is None:
                    raise
                if isinstance(error, HandshakeTimeout) and asked:
                    error.advice = advice_on_silence(draft)
                # One that broke off in a draft that it spoke before has not forgotten it.
                gone = draft is agreed and type(error) is HandshakeError
                if len(self.drafts) == 1 or gone or not is_unknown_draft(error):
                    self._advise(error, draft, wish)
                    raise
                refusals[draft] = error
                spoken = versions_spoken(error)
                if spoken:
                    drafts = [
                        other for other in drafts if other.version in spoken or not other.version
                    ]
        # What the server says to the newest draft tells most.
        draft = min(refusals, key=auto_drafts().index)
        self._advise(refusals[draft], draft, wish)
        raise refusals[draft]

    def _advise(self, error: HandshakeError, draft: Draft, wish: HandshakeRequest) -> None:
        if not error.advice:
            error.advice = advice_on(
                error,
                draft,
                secure=wish.url.secure,
                tried_all=len(self.drafts) > 1,
                can_dial=not isinstance(self.route, OverStream),
            )

    def _tls_to(self, target: WebSocketURL) -> StreamFactory:
        context = self.ssl_context or ssl.create_default_context()
        return ssl_stream_factory(context, server_hostname=target.host)


def _too_late_to_dial(via: str, timeout: float) -> HandshakeTimeout:
    return HandshakeTimeout(f"no {via} came about within {timeout} s")


def make_connector(url: str, stream: trio.abc.Stream | None, settings: ClientSettings) -> Connector:
    """What these arguments of `open_websocket` come to; the settings must be complete.

    Raises:
        ValueError: they make no sense; told before anything is dialled.
        TypeError: one of them is nothing of its kind.
        ImportError: what speaks to such a proxy is not installed.
    """
    if stream is not None and settings["draft"] == "auto":
        raise ValueError('draft="auto" takes several connections; a stream is one')
    route = choose_route(
        stream, settings["unix_socket"], settings["proxy"], settings["proxy_ssl_context"]
    )
    ssl_context, stream_factory = settings["ssl_context"], settings["stream_factory"]
    if ssl_context is not None and stream_factory is not None:
        raise ValueError("give ssl_context or stream_factory, not both")
    target = WebSocketURL.parse(url)
    if target.secure and ssl_context is None and stream_factory is None:
        ssl_context = ssl.create_default_context()
    default, drafts = _drafts_for(settings["draft"])
    # Of those behind the default, the ones that write a field which the caller gives are left out.
    written_by = drafts if default is None else [default]
    written = {name for row in written_by for name in row.opening.written_fields}
    wish = HandshakeRequest(
        url=target,
        headers=_with_user(
            checked_fields(settings["headers"], forbidden=written),
            settings["cookies"],
            settings["auth"],
            target.user,
        ),
        origin=settings["origin"],
        subprotocols=check_subprotocols(settings["subprotocols"]),
        compression=settings["compression"],
    )
    able = _able_to_ask(drafts, wish)
    if default is not None and isinstance(route, OverStream):
        able = able[:1]  # a stream is good for one attempt
    limits = Limits.of(settings)
    redirects = settings["max_redirects"]
    return Connector(wish, able, default, route, ssl_context, stream_factory, limits, redirects)


def _drafts_for(draft: str | Draft | None) -> tuple[Draft | None, Sequence[Draft]]:
    """The drafts to try one after the other. Before them the framing mode's, if that is only its
    default and nobody named one: then those that servers of today speak come behind it.

    Raises:
        ValueError: no draft has that name.
    """
    if draft == "auto":
        return None, auto_drafts()
    if draft is not None:
        return None, (draft_named(draft),)
    mode = draft_named(framing_mode.get())
    # What `get` is given goes before the default of the variable itself.
    if framing_mode.get(None) is not None:
        return None, (mode,)
    return mode, (mode, *(other for other in auto_drafts() if other is not mode))


def _tell_once(host: str, draft: Draft) -> None:
    """Says in the log, once for each host, which draft to name for it."""
    if host not in _told and len(_told) < MOST_TOLD:
        _told.add(host)
        logger.info('no draft was named for %s: it speaks draft="%s"', host, draft.name)


def _with_user(
    headers: Headers,
    cookies: Mapping[str, str] | None,
    auth: tuple[str, str] | None,
    auth_of_url: tuple[str, str] | None,
) -> Headers:
    """The fields, and those that say who is asking."""
    if auth is not None and auth_of_url is not None:
        raise ValueError("give auth or a user and a password in the URL, not both")
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


def _able_to_ask(drafts: Sequence[Draft], wish: HandshakeRequest) -> Sequence[Draft]:
    """Those of the drafts that can ask for that.

    Raises:
        ValueError: none can; it names the newest, and one that could.
    """
    mistakes: dict[Draft, ValueError] = {}
    for draft in drafts:
        try:
            _check_can_ask(draft, wish)
        except ValueError as error:
            mistakes[draft] = error
    able = [draft for draft in drafts if draft not in mistakes]
    if able:
        return able
    newest = auto_drafts()[0]
    draft = newest if newest in mistakes else drafts[0]
    text = f"{draft.name} cannot ask for that: {mistakes[draft]}"
    if draft is not newest:
        try:
            _check_can_ask(newest, wish)
        except ValueError:
            pass
        else:
            text += f'; draft="{newest.name}" can'
    raise ValueError(text) from None


def _check_can_ask(draft: Draft, wish: HandshakeRequest) -> None:
    checked_fields(wish.headers.raw, forbidden=draft.opening.written_fields)
    draft.opening.ask(wish, draft.subprotocols)
