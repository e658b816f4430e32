"""Opens connections to one server: which drafts to try, by which route, through which redirects."""

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
from trio_draftws._transport.addresses import ends_of
from trio_draftws._transport.opening import (
    apply_stream_factory,
    close_on_failure,
    handshake_timed_out,
)
from trio_draftws._transport.sockets import StreamFactory
from trio_draftws._transport.tls import is_secure, ssl_stream_factory
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

from .dial import DialRoute, GivenStreamRoute, ProxyRoute, choose_route, dial
from .fresh_headers import call_headers, joined_fields
from .handshake import client_handshake
from .hints import (
    advice_on_failure,
    advice_on_timeout,
    may_concern_draft,
    means_unknown_draft,
    versions_offered,
)
from .redirects import is_redirect, redirected_request
from .settings import ClientSettings, HeadersFunction

logger = logging.getLogger("trio_draftws")

# The hosts for which the log says which draft to name: once each. The limit bounds the memory.
_logged_hosts: set[str] = set()
MAX_LOGGED_HOSTS = 1000


@attrs.frozen(kw_only=True)
class Connector:
    """The checked arguments of `open_websocket`. `open` may be called any number of times."""

    request: HandshakeRequest
    drafts: Sequence[Draft]
    """The drafts to try, in order."""
    default: Draft | None
    """The default of `framing_mode`, if neither that nor `draft` was set; else None."""
    route: DialRoute
    ssl_context: ssl.SSLContext | None
    stream_factory: StreamFactory | None
    limits: Limits
    max_redirects: int
    headers: HeadersFunction | None
    """What returns further header fields for each `open`, if they are not always the same."""
    written_fields: frozenset[str]
    """The fields that they may not contain, since the handshake writes them."""

    async def open(self, scope: Scope, preferred: Draft | None = None) -> Connection:
        """Opens a connection in `scope`, whose instruments are notified if that fails.

        Args:
            scope: keeps the connection.
            preferred: a draft to try first: that of an earlier connection to the server.

        Raises:
            HandshakeError: no connection could be opened.
            Exception: whatever the caller's `headers` raises.
        """
        try:
            if self.headers is None:
                return await self._open_following_redirects(scope, preferred)
            connector = await self._with_fields_of(self.headers)
        except HandshakeError as error:
            if scope.instruments is not None:
                target = self.request.url
                peer = f"{target.host} port {target.port}"
                scope.instruments.tell("opening_failed", error, peer)
            raise
        return await connector.open(scope, preferred)

    async def _with_fields_of(self, headers: HeadersFunction) -> Connector:
        """Returns a connector whose request has the fields that the caller's function returns.

        Raises:
            HandshakeTimeout: it took too long.
            TypeError, ValueError: what it returned cannot be sent.
            Exception: whatever it raises.
        """
        try:
            returned = await call_headers(headers, self.limits.handshake_timeout)
            try:
                fields = joined_fields(returned, self.request.headers, self.written_fields)
                request = attrs.evolve(self.request, headers=fields)
                drafts = _drafts_able_to_send(self.drafts, request)
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"headers returned what cannot be sent: {error}") from None
        except BaseException:
            if isinstance(self.route, GivenStreamRoute):
                await trio.aclose_forcefully(self.route.stream)
            raise
        return attrs.evolve(self, request=request, drafts=drafts, headers=None)

    async def _open_following_redirects(self, scope: Scope, preferred: Draft | None) -> Connection:
        """Opens a connection, after following any redirects."""
        request = self.request
        seen: set[str] = set()
        while True:
            try:
                return await self._try_drafts(request, scope, preferred)
            except HandshakeError as error:
                if isinstance(error, Rejected) and self._should_follow(error):
                    request = redirected_request(error, request, seen, self.max_redirects)
                    continue
                if seen:
                    error.add_advice(f"a redirect led to {request.url.location}")
                raise

    def _should_follow(self, answer: Response | Rejected) -> bool:
        # A stream, path or stream factory that the caller gave may not suit another server.
        can_follow = self.route.reaches_any_server and self.stream_factory is None
        return bool(self.max_redirects) and can_follow and is_redirect(answer)

    def _may_retry(self, answer: Response) -> bool:
        """Returns whether another attempt may follow that answer, in another draft or elsewhere."""
        # If no draft was named, only answers that may concern the draft lead to another one.
        in_another_draft = len(self.drafts) > 1 and (
            self.default is None or may_concern_draft(answer)
        )
        return in_another_draft or self._should_follow(answer)

    async def _try_drafts(
        self, request: HandshakeRequest, scope: Scope, preferred: Draft | None
    ) -> Connection:
        """Opens a connection in the first draft that the server speaks; a new stream for each."""
        drafts = sorted(self.drafts, key=lambda draft: draft is not preferred)
        refusals: dict[Draft, HandshakeError] = {}
        factory = self.stream_factory
        if factory is None and request.url.secure:
            factory = self._tls_to(request.url)
        limits = self.limits
        while drafts:
            draft = drafts.pop(0)
            dialled: trio.abc.Stream | None = None
            stream: trio.abc.Stream | None = None
            try:
                # One deadline over TCP, the proxy, TLS and the opening handshake
                with trio.move_on_after(limits.handshake_timeout):
                    dialled = await dial(self.route, request.url)
                    async with close_on_failure(dialled):
                        stream = await apply_stream_factory(dialled, factory)
                        connection = await client_handshake(
                            stream,
                            draft,
                            request,
                            limits,
                            scope,
                            self._may_retry,
                            ends=ends_of(stream, dialled),
                            secure=is_secure(stream)
                            and (stream is not dialled or not isinstance(self.route, ProxyRoute)),
                        )
                        if self.default not in (None, draft):
                            _log_draft_once(request.url.host_field, draft)
                        return connection
                if dialled is None:
                    route = self.route.describe(request.url)
                    raise _dial_timed_out(route, limits.handshake_timeout)
                raise handshake_timed_out(limits.handshake_timeout)
            except HandshakeError as error:
                if dialled is None:
                    raise
                if isinstance(error, HandshakeTimeout) and stream is not None:
                    error.add_advice(advice_on_timeout(draft))
                # A server that has spoken this draft before broke off for another reason.
                broke_off = draft is preferred and type(error) is HandshakeError
                if len(self.drafts) == 1 or broke_off or not means_unknown_draft(error):
                    self._add_advice(error, draft, request)
                    raise
                refusals[draft] = error
                versions = versions_offered(error)
                if versions:
                    drafts = [
                        other for other in drafts if other.version in versions or not other.version
                    ]
        # The answer to the newest draft is the most informative one.
        draft = min(refusals, key=auto_drafts().index)
        self._add_advice(refusals[draft], draft, request)
        raise refusals[draft]

    def _add_advice(self, error: HandshakeError, draft: Draft, request: HandshakeRequest) -> None:
        error.add_advice(
            advice_on_failure(
                error,
                draft,
                secure=request.url.secure,
                tried_several=len(self.drafts) > 1,
                can_dial=not isinstance(self.route, GivenStreamRoute),
            )
        )

    def _tls_to(self, target: WebSocketURL) -> StreamFactory:
        context = self.ssl_context or ssl.create_default_context()
        return ssl_stream_factory(context, server_hostname=target.host)


def _dial_timed_out(route: str, timeout: float) -> HandshakeTimeout:
    return HandshakeTimeout(f"no {route} within {timeout} s")


def make_connector(url: str, stream: trio.abc.Stream | None, settings: ClientSettings) -> Connector:
    """Checks the arguments of `open_websocket`, before anything is dialled.

    Args:
        url: the server's URL.
        stream: the stream to use instead of dialling, or None.
        settings: all of the settings, as `with_defaults` returns them.

    Raises:
        ValueError: an argument is out of range, or two contradict each other.
        TypeError: an argument has the wrong type.
        ImportError: the proxy needs a package that is not installed.
    """
    if stream is not None and settings["draft"] == "auto":
        raise ValueError('draft="auto" takes several connections; a stream is one')
    route = choose_route(
        stream, settings["unix_socket"], settings["proxy"], settings["proxy_ssl_context"]
    )
    ssl_context, stream_factory = settings["ssl_context"], settings["stream_factory"]
    if ssl_context is not None and stream_factory is not None:
        raise ValueError("give ssl_context or stream_factory, not both")
    given = settings["headers"]
    headers = given if callable(given) else None
    target = WebSocketURL.parse(url)
    if target.secure and ssl_context is None and stream_factory is None:
        ssl_context = ssl.create_default_context()
    default, drafts = _drafts_to_try(settings["draft"])
    # The drafts behind the default that write a field which the caller gives are left out below.
    writers = drafts if default is None else [default]
    written = {name for draft in writers for name in draft.opening.written_fields}
    request = HandshakeRequest(
        url=target,
        headers=_with_credentials(
            checked_fields(() if callable(given) else given, forbidden=written),
            settings["cookies"],
            settings["auth"],
            target.user,
        ),
        origin=settings["origin"],
        subprotocols=check_subprotocols(settings["subprotocols"]),
        compression=settings["compression"],
    )
    drafts = _drafts_able_to_send(drafts, request)
    if default is not None and isinstance(route, GivenStreamRoute):
        drafts = drafts[:1]  # a stream is good for one attempt
    return Connector(
        request=request,
        drafts=drafts,
        default=default,
        route=route,
        ssl_context=ssl_context,
        stream_factory=stream_factory,
        limits=Limits.of(settings),
        max_redirects=settings["max_redirects"],
        headers=headers,
        written_fields=frozenset(written),
    )


def _drafts_to_try(draft: str | Draft | None) -> tuple[Draft | None, Sequence[Draft]]:
    """Returns the default draft, if it is what is tried first, and all drafts to try, in order.

    If neither `draft` nor `framing_mode` was set, the default of `framing_mode` comes first, and
    the drafts of `draft="auto"` follow.

    Raises:
        ValueError: no draft has that name.
    """
    if draft == "auto":
        return None, auto_drafts()
    if draft is not None:
        return None, (draft_named(draft),)
    mode = draft_named(framing_mode.get())
    # None here means that the variable was never set: `get`'s argument overrides its own default.
    if framing_mode.get(None) is not None:
        return None, (mode,)
    return mode, (mode, *(other for other in auto_drafts() if other is not mode))


def _log_draft_once(host: str, draft: Draft) -> None:
    """Logs which draft to name for that host, once per host."""
    if host not in _logged_hosts and len(_logged_hosts) < MAX_LOGGED_HOSTS:
        _logged_hosts.add(host)
        logger.info('no draft was named for %s: it speaks draft="%s"', host, draft.name)


def _with_credentials(
    headers: Headers,
    cookies: Mapping[str, str] | None,
    auth: tuple[str, str] | None,
    auth_of_url: tuple[str, str] | None,
) -> Headers:
    """Returns the header fields, with `Authorization` and `Cookie` added if they are needed.

    Raises:
        ValueError: a field is given twice.
    """
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


def _drafts_able_to_send(drafts: Sequence[Draft], request: HandshakeRequest) -> Sequence[Draft]:
    """Returns those drafts that can express the request.

    Raises:
        ValueError: none can; the text says why the newest of them cannot, and which draft can.
    """
    mistakes: dict[Draft, ValueError] = {}
    for draft in drafts:
        try:
            _check_can_send(draft, request)
        except ValueError as error:
            mistakes[draft] = error
    if len(mistakes) < len(drafts):
        return [draft for draft in drafts if draft not in mistakes]
    newest = auto_drafts()[0]
    draft = newest if newest in mistakes else drafts[0]
    text = f"{draft.name} cannot ask for that: {mistakes[draft]}"
    if draft is not newest:
        try:
            _check_can_send(newest, request)
        except ValueError:
            pass
        else:
            text += f'; draft="{newest.name}" can'
    raise ValueError(text) from None


def _check_can_send(draft: Draft, request: HandshakeRequest) -> None:
    checked_fields(request.headers.raw, forbidden=draft.opening.written_fields)
    draft.opening.ask(request, draft.subprotocols)
