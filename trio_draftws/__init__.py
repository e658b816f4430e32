"""WebSocket for Trio: a client, a server, and connections that are channels, in every draft.

The rooms, from the top floor down. What is in a room imports from the same room and from rooms
below it; no two files import each other, directly or in a circle.

    __main__            `python -m trio_draftws`
    cli                 the command line: echo, connect, probe, gateway
    testing             for the tests of programs: pairs in memory, served handlers, raw peers
    __init__            the public names
    _relay              two connections joined; the gateway made of that
    _server             listening, admitting, the handshake, calling handlers, shutting down
    _client             which draft to try, how to dial, the handshake, redirects, reconnecting
    _connection         `Connection`: receiver, sender, deadlines, and the scope that keeps many
    _transport          sockets, TLS, listeners; the handshake's reads and its one deadline
    _exceptions         what is raised
    _settings           the settings that all rooms share, how they are checked; the framing mode
    drafts              bytes in, bytes out: no Trio, no clock, no I/O
      _fast_handshake   the requests that today's clients send, answered without the full parser
      _protocol         the life of one connection, as states
      _identify         which draft a request is of
      _registry         each draft as a row: how it opens, how it frames, what it can do
      _handshake        the opening handshakes
      _framing          frames and messages as bytes; masking, compression, UTF-8
      _http             heads, bodies, cookies, URLs, host names
"""

from ._client.open import open_websocket
from ._client.reconnect import reconnecting
from ._client.settings import ClientSettings, DialSettings, ReconnectSettings
from ._connection.broadcast import BroadcastResult, broadcast
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
from ._server.accept import accept
from ._server.basic_auth import PasswordCheck, basic_auth
from ._server.flash_policy import FlashPolicy
from ._server.origins import OriginPolicy, same_host
from ._server.routing import Routes
from ._server.serve import serve_websocket
from ._server.server import Server
from ._server.settings import (
    AcceptSettings,
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
from ._transport.listeners import UnixListener, open_reuse_port_listeners, open_unix_listener
from ._transport.sockets import StreamFactory
from ._transport.tls import ssl_stream_factory
from .drafts import (
    DRAFTS,
    MASKS_IN_C,
    Close,
    Compression,
    Draft,
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

__all__ = [
    "DRAFTS",
    "MASKS_IN_C",
    "AcceptSettings",
    "BinaryPolicy",
    "BroadcastResult",
    "ClientSettings",
    "Close",
    "Compression",
    "ConnHeaders",
    "Connection",
    "ConnectionLost",
    "ConnectionSettings",
    "ConnectionStatistics",
    "DialFailed",
    "DialSettings",
    "Draft",
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
    "Instrument",
    "InternalError",
    "InvalidAnswer",
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
    "UnixListener",
    "accept",
    "basic_auth",
    "bridge",
    "broadcast",
    "framing_mode",
    "is_transient",
    "is_ws_url",
    "is_wss_url",
    "open_gateway",
    "open_reuse_port_listeners",
    "open_unix_listener",
    "open_websocket",
    "reconnecting",
    "same_host",
    "serve_websocket",
    "ssl_stream_factory",
    "use_framing_mode",
    "wait_any",
]
