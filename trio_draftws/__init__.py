"""The WebSocket library for Trio, speaking every draft.

The rooms, from the top; arrows point down only:

* `cli`: the command line; `testing`: what programs that use this need for their own tests
* `_gateway`: a server that joins each client with another server
* `_client`, `_reconnecting`, `_server`: `open_websocket`, `reconnecting`, `serve_websocket`,
  `accept`
* `_call`, `_dial`, `_proxy`, `_redirects`: how a client gets to its server
* `_ask`, `_answer`: one opening handshake on a stream
* `_bridge`: two connections joined
* `_door`, `_routes`, `_origins`, `_flash_policy`: whom a server lets in, and where to
* `_connection/`: `Connection`, a channel; who reads (`receiver`), what waits to be written
  (`sender`), and what looks after the connections of a scope (`scope`, `watch`, `timers`);
  several at once (`broadcast`, `wait_any`)
* `_listeners`, `_transport/`: sockets of TCP and of the Unix domain, and TLS
* `drafts/`: each draft as a row: how it opens, how it frames, and the life of a connection
  (`_protocol`); bytes in, bytes out, no trio
"""

from ._basic_auth import PasswordCheck, basic_auth
from ._bridge import BinaryPolicy, bridge
from ._client import open_websocket
from ._client_settings import ClientSettings, DialSettings, ReconnectSettings
from ._connection.broadcast import BroadcastResult, broadcast
from ._connection.connection import Connection, TextChannel
from ._connection.instrument import Instrument
from ._connection.message_stream import MessageStream
from ._connection.settings import ConnectionSettings
from ._connection.statistics import ConnectionStatistics, ServerStatistics
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
from ._flash_policy import FlashPolicy
from ._framing_mode import framing_mode, use_framing_mode
from ._gateway import Gateway, open_gateway
from ._listeners import UnixListener, open_reuse_port_listeners, open_unix_listener
from ._origins import OriginPolicy, same_host
from ._reconnecting import reconnecting
from ._routes import Routes
from ._server import Handler, Server, accept, serve_websocket
from ._server_settings import (
    AcceptSettings,
    ConnHeaders,
    FramingModeSelector,
    HTTPHandler,
    ListenSettings,
    ServerSettings,
    SubprotocolSelector,
)
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
