"""Every draft of the protocol as one row: how it opens, how it frames, what it can say.

Sans-IO: bytes in, bytes out. Nothing here imports trio or anything from above. To add a draft, add
a row to `_rows`; a new framing or a new opening is one more file beside that.
"""

from __future__ import annotations

from ._body import ResponseBody
from ._codec import (
    Agreement,
    Buffer,
    Close,
    Codec,
    Event,
    Fragment,
    LocalProtocolError,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
    ShortReceive,
    ShortSend,
    cannot_say,
)
from ._compression import COMPRESSION, Compression, Deflate
from ._cookies import write_cookies
from ._heads import begin_answer, scan_opening, spoken_today
from ._host import ascii_host, split_authority, tls_name
from ._http import (
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
from ._identify import check_plain, identify, is_plain
from ._masking import MASKS_IN_C
from ._opening import (
    Ask,
    ClientOpening,
    HandshakeError,
    InvalidAnswer,
    Reject,
    ServerOpening,
    checked_answer_fields,
)
from ._payload import IMMUTABLE_BUFFERS, encode_long_text
from ._protocol import End, EndKind, WebSocketProtocol
from ._rows import DRAFTS, Draft, allowed_drafts, draft_named, ladder
from ._url import NOT_IN_URL, SplitURL, WebSocketURL, is_ws_url, is_wss_url, split_url

__all__ = [
    "COMPRESSION",
    "DRAFTS",
    "IMMUTABLE_BUFFERS",
    "MASKS_IN_C",
    "MAX_LINE",
    "NOT_IN_URL",
    "Agreement",
    "Ask",
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
    "HeaderFields",
    "Headers",
    "InvalidAnswer",
    "LocalProtocolError",
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
    "ladder",
    "line_too_long",
    "may_begin_head",
    "scan_opening",
    "shown",
    "shown_line",
    "split_authority",
    "split_url",
    "spoken_today",
    "tls_name",
    "write_cookies",
    "write_head",
    "write_response",
]
