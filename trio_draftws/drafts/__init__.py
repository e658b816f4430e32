"""Every draft of the protocol: how it opens, how it frames messages, and what it can do.

Sans-IO: bytes in, bytes out. Nothing here imports trio, or anything from above. To add a draft, add
a row to `DRAFTS` in `_registry.py`; a new framing or a new opening handshake is one more file.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ._close_codes import EARLY_MESSAGE_TOO_BIG, CloseCode
from ._events import (
    Buffer,
    Close,
    EncodedText,
    Event,
    Fragment,
    LocalProtocolError,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
    cannot_say,
    no_message,
    not_utf8,
)
from ._fast_handshake import begin_answer, scan_opening, spoken_today
from ._frame_reader import FrameReader, frame_reader
from ._framing.codec import Codec, NegotiatedParameters, ShortReceive, ShortSend
from ._framing.compression import COMPRESSION, Compression, Deflate, Window
from ._framing.masking import HAS_SPEEDUPS
from ._framing.payload import IMMUTABLE_BUFFERS, as_text, encode_long_text
from ._handshake.base import ClientOpening, HandshakeRequest, ServerOpening
from ._handshake.errors import HandshakeError, InvalidAnswer, Reject, refusal_text
from ._handshake.fields import checked_answer_fields
from ._handshake.hybi import connection_masking_key
from ._http.address import UNIX, Address, IPAddress, address_in, ip_of
from ._http.basic_auth import read_basic, write_basic
from ._http.body import ResponseBody
from ._http.cookies import write_cookies
from ._http.escaping import escaped, shown, shown_line
from ._http.forwarded import forwarded_client
from ._http.head import MAX_LINE, BadHead, find_head_end, line_too_long, may_begin_head, write_head
from ._http.headers import HeaderFields, Headers, checked_fields
from ._http.host import ascii_host, split_authority, tls_name
from ._http.response import REDIRECT_STATUSES, HTTPResponse, Response, write_response
from ._http.url import NOT_IN_URL, SplitURL, WebSocketURL, is_ws_url, is_wss_url, split_url
from ._identify import check_plain, identify, is_plain
from ._protocol.ends import End, EndKind
from ._protocol.keepalive import SentPing
from ._protocol.protocol import WebSocketProtocol
from ._registry import DRAFTS, Draft, DraftName, allowed_drafts, auto_drafts, draft_named
from ._request import Request, certificate_in

__all__ = [
    "COMPRESSION",
    "DRAFTS",
    "EARLY_MESSAGE_TOO_BIG",
    "HAS_SPEEDUPS",
    "IMMUTABLE_BUFFERS",
    "MAX_LINE",
    "NOT_IN_URL",
    "REDIRECT_STATUSES",
    "UNIX",
    "Address",
    "BadHead",
    "Buffer",
    "ClientOpening",
    "Close",
    "CloseCode",
    "Codec",
    "Compression",
    "Deflate",
    "Draft",
    "DraftName",
    "EncodedText",
    "End",
    "EndKind",
    "Event",
    "Fragment",
    "FrameReader",
    "HTTPResponse",
    "HandshakeError",
    "HandshakeRequest",
    "HeaderFields",
    "Headers",
    "IPAddress",
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
    "SentPing",
    "ServerOpening",
    "ShortReceive",
    "ShortSend",
    "SplitURL",
    "WebSocketProtocol",
    "WebSocketURL",
    "Window",
    "address_in",
    "allowed_drafts",
    "as_text",
    "ascii_host",
    "auto_drafts",
    "begin_answer",
    "cannot_say",
    "certificate_in",
    "check_plain",
    "checked_answer_fields",
    "checked_fields",
    "connection_masking_key",
    "draft_named",
    "encode_long_text",
    "escaped",
    "find_head_end",
    "forwarded_client",
    "frame_reader",
    "identify",
    "ip_of",
    "is_plain",
    "is_ws_url",
    "is_wss_url",
    "line_too_long",
    "may_begin_head",
    "no_message",
    "not_utf8",
    "read_basic",
    "refusal_text",
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

if TYPE_CHECKING:
    MASKS_IN_C: bool
    """The old name of `HAS_SPEEDUPS`."""
else:

    def __getattr__(name: str) -> object:
        """Returns what has a new name under its old one, with a warning."""
        if name == "MASKS_IN_C":
            warnings.warn(
                f"{__name__}.MASKS_IN_C is deprecated: use HAS_SPEEDUPS",
                DeprecationWarning,
                stacklevel=2,
            )
            return HAS_SPEEDUPS
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
