"""Every draft of the protocol as one row: how it opens, how it frames, what it can say.

Sans-IO: bytes in, bytes out. Nothing here imports trio or anything from above. To add a draft, add
a row to `_rows`; a new framing or a new opening is one more file beside that.
"""

from __future__ import annotations

from ._fast_handshake import begin_answer, scan_opening, spoken_today
from ._framing.codec import (
    Buffer,
    Close,
    Codec,
    Event,
    Fragment,
    LocalProtocolError,
    NegotiatedParameters,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
    ShortReceive,
    ShortSend,
    cannot_say,
    no_message,
)
from ._framing.compression import COMPRESSION, Compression, Deflate
from ._framing.masking import MASKS_IN_C
from ._framing.payload import IMMUTABLE_BUFFERS, encode_long_text
from ._handshake.base import (
    ClientOpening,
    HandshakeError,
    HandshakeRequest,
    InvalidAnswer,
    Reject,
    ServerOpening,
    checked_answer_fields,
)
from ._http.basic_auth import read_basic, write_basic
from ._http.body import ResponseBody
from ._http.cookies import write_cookies
from ._http.host import ascii_host, split_authority, tls_name
from ._http.http1 import (
    MAX_LINE,
    BadHead,
    HeaderFields,
    Headers,
    HTTPResponse,
    Request,
    Response,
    checked_fields,
    escaped,
    find_head_end,
    line_too_long,
    may_begin_head,
    shown,
    shown_line,
    write_head,
    write_response,
)
from ._http.url import NOT_IN_URL, SplitURL, WebSocketURL, is_ws_url, is_wss_url, split_url
from ._identify import check_plain, identify, is_plain
from ._protocol import End, EndKind, WebSocketProtocol
from ._registry import DRAFTS, Draft, allowed_drafts, auto_drafts, draft_named

__all__ = [
    "COMPRESSION",
    "DRAFTS",
    "IMMUTABLE_BUFFERS",
    "MASKS_IN_C",
    "MAX_LINE",
    "NOT_IN_URL",
    "BadHead",
    "Buffer",
    "ClientOpening",
    "Close",
    "Codec",
    "Compression",
    "Deflate",
    "Draft",
    "End",
    "EndKind",
    "Event",
    "Fragment",
    "HTTPResponse",
    "HandshakeError",
    "HandshakeRequest",
    "HeaderFields",
    "Headers",
    "InvalidAnswer",
    "LocalProtocolError",
    "NegotiatedParameters",
    "Ping",
    "Pong",
    "Reject",
    "RemoteProtocolError",
    "Request",
    "Response",
    "ResponseBody",
    "Role",
    "ServerOpening",
    "ShortReceive",
    "ShortSend",
    "SplitURL",
    "WebSocketProtocol",
    "WebSocketURL",
    "allowed_drafts",
    "ascii_host",
    "auto_drafts",
    "begin_answer",
    "cannot_say",
    "check_plain",
    "checked_answer_fields",
    "checked_fields",
    "draft_named",
    "encode_long_text",
    "escaped",
    "find_head_end",
    "identify",
    "is_plain",
    "is_ws_url",
    "is_wss_url",
    "line_too_long",
    "may_begin_head",
    "no_message",
    "read_basic",
    "scan_opening",
    "shown",
    "shown_line",
    "split_authority",
    "split_url",
    "spoken_today",
    "tls_name",
    "write_basic",
    "write_cookies",
    "write_head",
    "write_response",
]
