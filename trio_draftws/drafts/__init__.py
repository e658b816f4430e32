"""Every draft of the protocol as one row: how it opens, how it frames, what it can say.

Sans-IO: bytes in, bytes out. Nothing here imports trio or anything from above. To add a draft, add
a row to `DRAFTS`; a new framing or a new opening is one more file beside this one.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ._codec import (
    Agreement,
    Buffer,
    Close,
    Codec,
    CodecFactory,
    Event,
    LocalProtocolError,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
)
from ._http import (
    BadHead,
    HeaderFields,
    Headers,
    Request,
    Response,
    checked_fields,
    find_head_end,
    shown,
    write_response,
)
from ._length64 import length64
from ._opening import (
    ONE_SUBPROTOCOL,
    SPACE_SEPARATED,
    Ask,
    ClientOpening,
    HandshakeError,
    InvalidAnswer,
    OpeningFamily,
    Reject,
    ServerOpening,
    SubprotocolSyntax,
)
from ._opening_hixie75 import Hixie75Opening
from ._opening_hixie76 import Hixie76Opening
from ._sentinel import sentinel
from ._url import WebSocketURL, is_ws_url, is_wss_url

__all__ = [
    "DRAFTS",
    "Agreement",
    "Ask",
    "BadHead",
    "Buffer",
    "ClientOpening",
    "Close",
    "Codec",
    "Draft",
    "Event",
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
    "Role",
    "ServerOpening",
    "WebSocketURL",
    "allowed_drafts",
    "checked_fields",
    "draft_named",
    "find_head_end",
    "identify",
    "is_ws_url",
    "is_wss_url",
    "shown",
    "write_response",
]


@attrs.frozen(eq=False, repr=False)
class Draft:
    """One wire version of the protocol; `DRAFTS` has them all."""

    name: str
    aliases: tuple[str, ...]
    """Other names: of the modes of Racket's net/websocket, or of drafts with the same wire."""
    published: str
    """When, for people."""
    announced_by: tuple[str, ...]
    """What `announcement` says of its requests."""
    opening: OpeningFamily
    codec: CodecFactory
    subprotocols: SubprotocolSyntax
    subprotocol_field: str
    origin_field: str
    """The request's field that names the origin of the page."""
    version: int | None = None
    """Its number in Sec-WebSocket-Version, from hybi-04 on."""
    binary: bool = False
    """Whether it has binary messages."""
    fragments: bool = False
    """Whether a message can be sent in several frames."""
    ping: bool = False
    close_status: bool = False
    """Whether its closing frame carries a code and a reason."""
    closing_handshake: bool = True
    """Whether it has a closing frame at all; without one, the end of TCP is the only close."""
    close_ends_stream: tuple[Role, ...] = ()
    """Whose side of TCP ends right behind its close, before the peer has answered.

    WebKit of 2010 leaves a server's closing frame unanswered and waits for the end of TCP.
    """

    def __repr__(self) -> str:
        return f"<Draft {self.name}>"


DRAFTS: tuple[Draft, ...] = (
    Draft(
        name="hixie-75",
        aliases=(),
        published="4 February 2010",
        announced_by=("upgrade",),
        opening=Hixie75Opening(),
        codec=sentinel(closing_frame=False),
        subprotocols=ONE_SUBPROTOCOL,
        subprotocol_field="WebSocket-Protocol",
        origin_field="Origin",
        closing_handshake=False,
        close_ends_stream=("client", "server"),
    ),
    Draft(
        name="hixie-76",
        aliases=("old", "hybi-00"),
        published="6 May 2010",
        announced_by=("keys", "draft 0"),
        opening=Hixie76Opening(),
        codec=sentinel(closing_frame=True),
        subprotocols=ONE_SUBPROTOCOL,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_field="Origin",
        close_ends_stream=("server",),
    ),
    Draft(
        name="whatwg-2010-08",
        aliases=("new",),
        published="6 August 2010",
        announced_by=("keys",),
        opening=Hixie76Opening(),
        codec=length64,
        subprotocols=SPACE_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_field="Origin",
        close_ends_stream=("server",),
    ),
)
"""Every draft, oldest first."""

_BY_NAME = {name: draft for draft in DRAFTS for name in (draft.name, *draft.aliases)}


def draft_named(name: str | Draft) -> Draft:
    """The row of that name or alias; a `Draft` stands for itself.

    Raises:
        ValueError: no row has that name; the message lists those there are.
    """
    if isinstance(name, Draft):
        return name
    try:
        return _BY_NAME[name]
    except (KeyError, TypeError):
        known = "; ".join(" = ".join((draft.name, *draft.aliases)) for draft in DRAFTS)
        raise ValueError(f"no draft is named {name!r}; there are: {known}") from None


def allowed_drafts(names: Iterable[str | Draft] | None) -> tuple[Draft, ...]:
    """The rows that a server speaks: those named, in the order of `DRAFTS`; all for None.

    Raises:
        ValueError: a name is unknown, or there is none.
    """
    if names is None:
        return DRAFTS
    chosen = {draft_named(name) for name in ([names] if isinstance(names, str) else names)}
    if not chosen:
        raise ValueError("a server must speak one draft at least")
    return tuple(sorted(chosen, key=lambda draft: _POSITIONS.get(draft, len(DRAFTS))))


_POSITIONS = {draft: position for position, draft in enumerate(DRAFTS)}


def announcement(request: Request) -> str | None:
    """How a request says which draft it speaks; None where it is no WebSocket request.

    Raises:
        Reject: it contradicts itself.
    """
    headers = request.headers
    if "Sec-WebSocket-Version" in headers:
        versions = set(headers.get_all("Sec-WebSocket-Version"))
        number = versions.pop()
        if versions or not _is_number(number):
            raise Reject(400, body="Expected one number in Sec-WebSocket-Version.\n")
        return f"version {int(number)}"
    keys = [name in headers for name in ("Sec-WebSocket-Key1", "Sec-WebSocket-Key2")]
    if all(keys):
        if "Sec-WebSocket-Draft" not in headers:
            return "keys"
        number = headers["Sec-WebSocket-Draft"]
        if not _is_number(number):
            raise Reject(400, body="Expected one number in Sec-WebSocket-Draft.\n")
        # hybi-02 and -03 were announced as 2 or 3, by some as 1
        return "draft 1+" if int(number) else "draft 0"
    if any(keys):
        raise Reject(
            400, body="Sec-WebSocket-Key1 and -Key2 belong together; only one of them came.\n"
        )
    if "Sec-WebSocket-Key" in headers:
        return None
    upgrade = headers.has_token("Upgrade", "websocket") and headers.has_token(
        "Connection", "upgrade"
    )
    return "upgrade" if upgrade else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def identify(request: Request, mode: Draft, drafts: tuple[Draft, ...]) -> Draft:
    """Which of `drafts` a request speaks.

    Where requests of several look the same, `mode` decides if it is one of them; else the first.

    Raises:
        Reject: 426 where it is none of them, or no WebSocket request; 400 where it contradicts
            itself or announces a body that no draft has.
    """
    announced = announcement(request)
    candidates = [draft for draft in drafts if announced in draft.announced_by]
    if not candidates:
        raise _upgrade_required(announced, drafts)
    draft = mode if mode in candidates else candidates[0]
    if request.method != "GET":
        raise Reject(405, {"Allow": "GET"}, "A WebSocket request is a GET.\n")
    # Whatever follows an opening is frames, so nothing may announce a body; some clients of
    # hixie-76 count its eight bytes as one.
    lengths = request.headers.get_all("Content-Length")
    if "Transfer-Encoding" in request.headers or any(
        length not in ("0", str(draft.opening.request_body)) for length in lengths
    ):
        raise Reject(400, body="A WebSocket request has no body.\n")
    return draft


def _upgrade_required(announced: str | None, drafts: tuple[Draft, ...]) -> Reject:
    # RFC 9110 section 15.5.22: a 426 says what to upgrade to
    fields = {"Upgrade": "websocket"}
    versions = sorted({draft.version for draft in drafts if draft.version is not None})
    if versions:
        # RFC 6455 section 4.4
        fields["Sec-WebSocket-Version"] = ", ".join(map(str, reversed(versions)))
    names = ", ".join(draft.name for draft in drafts)
    what = "This is no WebSocket request" if announced is None else "That draft is not spoken here"
    return Reject(426, fields, f"{what}; the drafts spoken here are: {names}.\n")
