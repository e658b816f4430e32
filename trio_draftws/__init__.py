"""WebSocket for Trio: a client, a server, and connections that are channels, in every draft.

The rooms, from the top floor down. A module imports from its own room and from the rooms below it,
never from one above, and no modules import each other in a circle.

    __main__            `python -m trio_draftws`
    cli                 the commands: echo, connect, probe, gateway
    testing             for tests of your programs: pairs in memory, served handlers, raw peers
    anyio               connections for programs of anyio on its trio backend
    __init__            the public names
    _relay              joins two connections; the gateway is made of that
    _server             listens, admits, opens connections, calls handlers, shuts down
    _client             chooses a draft, dials, opens connections, follows redirects, reconnects
    _connection         `Connection`: its receiver, sender and deadlines; the scope of many
    _transport          sockets, TLS, listeners; reads an opening handshake under one deadline
    _exceptions         the errors
    _settings           the settings that several rooms share, and their checks; `framing_mode`
    drafts              bytes in, events and bytes out: no Trio, no clock, no I/O
      _fast_handshake   answers what current clients send without the full parser
      _frame_reader     finds where frames begin and end, for `connect --verbose`
      _protocol         the life of one connection, as states
      _identify         finds the draft that a request belongs to
      _request          an HTTP head from a client, and its draft
      _registry         each draft as a row: how it opens and frames, what it can do
      _handshake        the opening handshakes
      _framing          frames and messages as bytes; masking, compression, UTF-8
      _http             heads, bodies, cookies, URLs, host names
      _events           messages, fragments, pings and closes; the errors of codecs
      _close_codes      the close codes
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "DRAFTS",
    "HAS_SPEEDUPS",
    "AcceptSettings",
    "Address",
    "AnswerHook",
    "BinaryPolicy",
    "BroadcastResult",
    "ClientSettings",
    "Close",
    "CloseCode",
    "Compression",
    "ConnHeaders",
    "Connection",
    "ConnectionLost",
    "ConnectionSettings",
    "ConnectionStatistics",
    "ConnectionStream",
    "DialFailed",
    "DialSettings",
    "Draft",
    "DraftName",
    "FlashPolicy",
    "FlashPolicyServed",
    "Fragment",
    "FramingModeSelector",
    "Gateway",
    "HTTPHandler",
    "HTTPResponse",
    "Handler",
    "HandshakeError",
    "HandshakeTimeout",
    "HeaderFields",
    "Headers",
    "HeadersFunction",
    "Instrument",
    "InternalError",
    "InvalidAnswer",
    "JSONChannel",
    "ListenSettings",
    "LocalProtocolError",
    "MessageStream",
    "MessageTooBig",
    "OriginPolicy",
    "PageServed",
    "PasswordCheck",
    "PeerClosed",
    "PeerViolation",
    "Ping",
    "Pong",
    "ProxyFailed",
    "ReconnectSettings",
    "RedirectRefused",
    "Reject",
    "Rejected",
    "Request",
    "RequestRefused",
    "Response",
    "Routes",
    "Server",
    "ServerSettings",
    "ServerStatistics",
    "StreamFactory",
    "SubprotocolSelector",
    "TLSFailed",
    "TextChannel",
    "TrustedProxies",
    "UnixListener",
    "accept",
    "accept_websocket",
    "basic_auth",
    "bridge",
    "broadcast",
    "connect_websocket",
    "framing_mode",
    "is_transient",
    "is_ws_url",
    "is_wss_url",
    "open_gateway",
    "open_reuse_port_listeners",
    "open_unix_listener",
    "open_websocket",
    "proxy_protocol_factory",
    "reconnecting",
    "same_host",
    "serve_websocket",
    "ssl_stream_factory",
    "use_framing_mode",
    "wait_any",
]

if TYPE_CHECKING:
    from ._client.connect import connect_websocket
    from ._client.open import open_websocket
    from ._client.reconnect import reconnecting
    from ._client.settings import ClientSettings, DialSettings, HeadersFunction, ReconnectSettings
    from ._connection.as_stream import ConnectionStream
    from ._connection.broadcast import BroadcastResult, broadcast
    from ._connection.channels import JSONChannel
    from ._connection.connection import Connection, TextChannel
    from ._connection.instrument import Instrument
    from ._connection.message_stream import MessageStream
    from ._connection.settings import ConnectionSettings
    from ._connection.statistics import ConnectionStatistics
    from ._connection.wait_any import wait_any
    from ._exceptions import (
        ConnectionLost,
        DialFailed,
        FlashPolicyServed,
        HandshakeTimeout,
        InternalError,
        MessageTooBig,
        PageServed,
        PeerClosed,
        PeerViolation,
        ProxyFailed,
        RedirectRefused,
        Rejected,
        RequestRefused,
        TLSFailed,
        is_transient,
    )
    from ._relay.bridge import BinaryPolicy, bridge
    from ._relay.gateway import Gateway, open_gateway
    from ._server.accept import accept, accept_websocket
    from ._server.basic_auth import PasswordCheck, basic_auth
    from ._server.flash_policy import FlashPolicy
    from ._server.origins import OriginPolicy, same_host
    from ._server.routing import Routes
    from ._server.serve import serve_websocket
    from ._server.server import Server
    from ._server.settings import (
        AcceptSettings,
        AnswerHook,
        ConnHeaders,
        FramingModeSelector,
        Handler,
        HTTPHandler,
        ListenSettings,
        ServerSettings,
        SubprotocolSelector,
    )
    from ._server.statistics import ServerStatistics
    from ._settings.framing_mode import framing_mode, use_framing_mode
    from ._transport.addresses import TrustedProxies
    from ._transport.listeners import UnixListener, open_reuse_port_listeners, open_unix_listener
    from ._transport.proxy_protocol import proxy_protocol_factory
    from ._transport.sockets import StreamFactory
    from ._transport.tls import ssl_stream_factory
    from .drafts import (
        DRAFTS,
        HAS_SPEEDUPS,
        Address,
        Close,
        CloseCode,
        Compression,
        Draft,
        DraftName,
        Fragment,
        HandshakeError,
        HeaderFields,
        Headers,
        HTTPResponse,
        InvalidAnswer,
        LocalProtocolError,
        Ping,
        Pong,
        Reject,
        Request,
        Response,
        is_ws_url,
        is_wss_url,
    )

    MASKS_IN_C: bool
    """The old name of `HAS_SPEEDUPS`."""
else:
    # A public name is imported when it is first used, so that a client does not load the server,
    # and importing the package costs next to nothing. By the modules that have them:
    _NAMES = {
        "_client.connect": "connect_websocket",
        "_client.open": "open_websocket",
        "_client.reconnect": "reconnecting",
        "_client.settings": "ClientSettings DialSettings HeadersFunction ReconnectSettings",
        "_connection.as_stream": "ConnectionStream",
        "_connection.broadcast": "BroadcastResult broadcast",
        "_connection.channels": "JSONChannel",
        "_connection.connection": "Connection TextChannel",
        "_connection.instrument": "Instrument",
        "_connection.message_stream": "MessageStream",
        "_connection.settings": "ConnectionSettings",
        "_connection.statistics": "ConnectionStatistics",
        "_connection.wait_any": "wait_any",
        "_exceptions": (
            "ConnectionLost DialFailed FlashPolicyServed HandshakeTimeout InternalError "
            "MessageTooBig PageServed PeerClosed PeerViolation ProxyFailed RedirectRefused "
            "Rejected RequestRefused TLSFailed is_transient"
        ),
        "_relay.bridge": "BinaryPolicy bridge",
        "_relay.gateway": "Gateway open_gateway",
        "_server.accept": "accept accept_websocket",
        "_server.basic_auth": "PasswordCheck basic_auth",
        "_server.flash_policy": "FlashPolicy",
        "_server.origins": "OriginPolicy same_host",
        "_server.routing": "Routes",
        "_server.serve": "serve_websocket",
        "_server.server": "Server",
        "_server.settings": (
            "AcceptSettings AnswerHook ConnHeaders FramingModeSelector Handler HTTPHandler "
            "ListenSettings ServerSettings SubprotocolSelector"
        ),
        "_server.statistics": "ServerStatistics",
        "_settings.framing_mode": "framing_mode use_framing_mode",
        "_transport.addresses": "TrustedProxies",
        "_transport.listeners": "UnixListener open_reuse_port_listeners open_unix_listener",
        "_transport.proxy_protocol": "proxy_protocol_factory",
        "_transport.sockets": "StreamFactory",
        "_transport.tls": "ssl_stream_factory",
        "drafts": (
            "DRAFTS HAS_SPEEDUPS Address Close CloseCode Compression Draft DraftName Fragment "
            "HandshakeError HeaderFields Headers HTTPResponse InvalidAnswer "
            "LocalProtocolError Ping Pong Reject Request Response is_ws_url is_wss_url"
        ),
    }
    # The modules that are public, but for `anyio`, which needs that package
    _ROOMS = ("drafts", "testing")
    _MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}

    def __getattr__(name: str) -> object:
        """Returns a public name, from then on an attribute like any other; an old one with a
        warning.
        """
        if name in _MODULES:
            found = getattr(import_module(f".{_MODULES[name]}", __name__), name)
            globals()[name] = found
            return found
        if name in _ROOMS:
            return import_module(f".{name}", __name__)
        if name == "MASKS_IN_C":
            warnings.warn(
                f"{__name__}.MASKS_IN_C is deprecated: use HAS_SPEEDUPS",
                DeprecationWarning,
                stacklevel=2,
            )
            return __getattr__("HAS_SPEEDUPS")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """Returns the public names, also those that nobody has used yet."""
        return sorted({*(name for name in globals() if name[:2] == "__"), *__all__, *_ROOMS})
