"""The registry: every draft as one row, found by its name or an alias.

No code checks a draft's name: what a draft can do is a column of its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

import attrs

from ._close_codes import EARLY_MESSAGE_TOO_BIG, CloseCode
from ._events import Role
from ._framing.codec import CodecFactory
from ._framing.hixie import hixie
from ._framing.hybi_01_to_06 import hybi_01_to_06
from ._framing.rfc6455 import rfc6455
from ._framing.whatwg_2010 import whatwg_2010
from ._handshake.base import OpeningFamily
from ._handshake.hixie75 import Hixie75Opening
from ._handshake.hixie76 import Hixie76Opening
from ._handshake.hybi import HybiOpening
from ._handshake.subprotocols import (
    COMMA_SEPARATED,
    ONE_SUBPROTOCOL,
    SPACE_SEPARATED,
    SubprotocolSyntax,
)

DraftName: TypeAlias = Literal[
    "hixie-75",
    "hixie-76",
    "old",
    "hybi-00",
    "whatwg-2010-08",
    "new",
    "hybi-01",
    "hybi-02",
    "hybi-03",
    "hybi-04",
    "hybi-05",
    "hybi-06",
    "hybi-07",
    "hybi-08",
    "hybi-09",
    "hybi-10",
    "hybi-11",
    "hybi-12",
    "rfc6455",
    "hybi-13",
    "hybi-14",
    "hybi-15",
    "hybi-16",
    "hybi-17",
]
"""The names and aliases of `DRAFTS`, written out since editors and type checkers run no code. What
takes a name takes any `str`, so that one from a file or a command line needs no cast."""

# 1007 came with hybi-10, whose wire is that of hybi-08.
_CODES_OF_HYBI_06: frozenset[int] = frozenset(
    {
        CloseCode.NORMAL_CLOSURE,
        CloseCode.GOING_AWAY,
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        EARLY_MESSAGE_TOO_BIG,
    }
)
_CODES_OF_HYBI_08 = _CODES_OF_HYBI_06 | {CloseCode.INVALID_PAYLOAD}
# RFC 6455 section 7.4.1, and 1012 to 1014 as registered since
_CODES_OF_RFC_6455 = frozenset[int](CloseCode) - {
    CloseCode.NO_STATUS_RECEIVED,
    CloseCode.ABNORMAL_CLOSURE,
    CloseCode.TLS_HANDSHAKE,
}


@attrs.frozen(eq=False, repr=False)
class Draft:
    """One draft of the protocol of the protocol; `DRAFTS` has all of them."""

    name: str
    aliases: tuple[str, ...]
    """Other names: modes of Racket's net/websocket, or drafts with the same wire format."""
    published: str
    """The date, to be shown to people."""
    announced_by: tuple[str, ...]
    """What `announcement` returns for its requests."""
    opening: OpeningFamily
    codec: CodecFactory
    subprotocols: SubprotocolSyntax
    subprotocol_field: str
    origin_fields: tuple[str, ...]
    """The request's field that names the origin of the page; then others that are accepted too."""
    auto_order: int | None = None
    """Its place in the order in which a client tries drafts; None if a server would take its
    requests for those of another draft.

    hixie-76 comes before hybi-02: a server of hixie-76 accepts a request of hybi-02 as well, since
    it ignores the field that it does not know, but would understand none of the frames.
    """
    version: int | None = None
    """Its number in Sec-WebSocket-Version, from hybi-04 on."""
    binary: bool = False
    """Whether it has binary messages."""
    fragments: bool = False
    """Whether a message can be sent in several frames."""
    ping: bool = False
    compression: bool = False
    """Whether messages can be compressed: its frames have a bit to mark those that are."""
    close_status: bool = False
    """Whether its closing frame carries a code and a reason."""
    close_codes: frozenset[int] = frozenset()
    """The codes below 3000 that it defines and that may be sent. Codes from 3000 on are free for
    applications in every draft that has codes."""
    closing_handshake: bool = True
    """Whether it has a closing frame; without one, the end of TCP is the only close."""
    close_ends_stream: tuple[Role, ...] = ()
    """Which roles end their side of TCP right after their close, before the peer has answered.

    WebKit of 2010 does not answer a server's closing frame, and waits for the end of TCP.
    """

    def __repr__(self) -> str:
        return f"<Draft {self.name}>"

    def __reduce__(self) -> tuple[Callable[[str], Draft], tuple[str]]:
        """A copy, and what comes out of a pickle, is the draft of that name itself."""
        return draft_named, (self.name,)


DRAFTS: tuple[Draft, ...] = (
    Draft(
        name="hixie-75",
        aliases=(),
        published="4 February 2010",
        announced_by=("upgrade",),
        auto_order=9,
        opening=Hixie75Opening(),
        codec=hixie(closing_frame=False),
        subprotocols=ONE_SUBPROTOCOL,
        subprotocol_field="WebSocket-Protocol",
        origin_fields=("Origin",),
        closing_handshake=False,
        close_ends_stream=("client", "server"),
    ),
    Draft(
        name="hixie-76",
        aliases=("old", "hybi-00"),
        published="6 May 2010",
        announced_by=("keys", "draft 0"),
        auto_order=7,
        opening=Hixie76Opening(),
        codec=hixie(closing_frame=True),
        subprotocols=ONE_SUBPROTOCOL,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Origin",),
        close_ends_stream=("server",),
    ),
    Draft(
        name="whatwg-2010-08",
        aliases=("new",),
        published="6 August 2010",
        announced_by=("keys",),
        opening=Hixie76Opening(),
        codec=whatwg_2010,
        subprotocols=SPACE_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Origin",),
        close_ends_stream=("server",),
    ),
    Draft(
        name="hybi-01",
        aliases=(),
        published="31 August 2010",
        announced_by=("keys",),
        opening=Hixie76Opening(),
        codec=hybi_01_to_06(more_bit=True, masking="none", close_body="free"),
        subprotocols=SPACE_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Origin",),
        binary=True,
        fragments=True,
        ping=True,
    ),
    Draft(
        name="hybi-02",
        aliases=("hybi-03",),
        published="24 September 2010",
        announced_by=("draft 1+",),
        auto_order=8,
        opening=Hixie76Opening(draft_number="2"),
        codec=hybi_01_to_06(more_bit=True, masking="none", close_body="free"),
        subprotocols=SPACE_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Origin",),
        binary=True,
        fragments=True,
        ping=True,
    ),
    Draft(
        name="hybi-04",
        aliases=(),
        published="11 January 2011",
        announced_by=("version 4",),
        auto_order=6,
        version=4,
        opening=HybiOpening(version=4, origin_field="Sec-WebSocket-Origin", nonce=True),
        codec=hybi_01_to_06(masking="frame-key", close_body="free"),
        subprotocols=COMMA_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Sec-WebSocket-Origin",),
        binary=True,
        fragments=True,
        ping=True,
    ),
    Draft(
        name="hybi-05",
        aliases=(),
        published="8 February 2011",
        announced_by=("version 5",),
        auto_order=5,
        version=5,
        opening=HybiOpening(version=5, origin_field="Sec-WebSocket-Origin"),
        codec=hybi_01_to_06(masking="whole-frame", close_body="letter"),
        subprotocols=COMMA_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Sec-WebSocket-Origin",),
        binary=True,
        fragments=True,
        ping=True,
    ),
    Draft(
        name="hybi-06",
        aliases=(),
        published="25 February 2011",
        announced_by=("version 6",),
        auto_order=4,
        version=6,
        opening=HybiOpening(version=6, origin_field="Sec-WebSocket-Origin"),
        codec=hybi_01_to_06(
            masking="whole-frame", close_body="status", too_big=EARLY_MESSAGE_TOO_BIG
        ),
        subprotocols=COMMA_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Sec-WebSocket-Origin",),
        binary=True,
        fragments=True,
        ping=True,
        close_status=True,
        close_codes=_CODES_OF_HYBI_06,
    ),
    Draft(
        name="hybi-07",
        aliases=(),
        published="22 April 2011",
        announced_by=("version 7",),
        auto_order=3,
        version=7,
        opening=HybiOpening(version=7, origin_field="Sec-WebSocket-Origin"),
        codec=rfc6455(fails_bad_utf8=False, too_big=EARLY_MESSAGE_TOO_BIG, strict=False),
        subprotocols=COMMA_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Sec-WebSocket-Origin",),
        binary=True,
        fragments=True,
        ping=True,
        compression=True,
        close_status=True,
        close_codes=_CODES_OF_HYBI_06,
    ),
    Draft(
        name="hybi-08",
        aliases=("hybi-09", "hybi-10"),
        published="7 June 2011",
        announced_by=("version 8",),
        auto_order=2,
        version=8,
        opening=HybiOpening(version=8, origin_field="Sec-WebSocket-Origin"),
        codec=rfc6455(fails_bad_utf8=True, too_big=EARLY_MESSAGE_TOO_BIG, strict=False),
        subprotocols=COMMA_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Sec-WebSocket-Origin", "Origin"),
        binary=True,
        fragments=True,
        ping=True,
        compression=True,
        close_status=True,
        close_codes=_CODES_OF_HYBI_08,
    ),
    Draft(
        name="hybi-11",
        aliases=("hybi-12",),
        published="23 August 2011",
        announced_by=("version 8",),
        version=8,
        opening=HybiOpening(version=8, origin_field="Origin"),
        codec=rfc6455(fails_bad_utf8=True, too_big=EARLY_MESSAGE_TOO_BIG, strict=False),
        subprotocols=COMMA_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Origin", "Sec-WebSocket-Origin"),
        binary=True,
        fragments=True,
        ping=True,
        compression=True,
        close_status=True,
        close_codes=_CODES_OF_HYBI_08,
    ),
    Draft(
        name="rfc6455",
        aliases=("hybi-13", "hybi-14", "hybi-15", "hybi-16", "hybi-17"),
        published="December 2011",
        announced_by=("version 13",),
        auto_order=1,
        version=13,
        opening=HybiOpening(version=13, origin_field="Origin", key_length=16),
        codec=rfc6455(fails_bad_utf8=True, too_big=CloseCode.MESSAGE_TOO_BIG, strict=True),
        subprotocols=COMMA_SEPARATED,
        subprotocol_field="Sec-WebSocket-Protocol",
        origin_fields=("Origin",),
        binary=True,
        fragments=True,
        ping=True,
        compression=True,
        close_status=True,
        close_codes=_CODES_OF_RFC_6455,
    ),
)
"""Every draft, oldest first."""

_BY_NAME = {name: draft for draft in DRAFTS for name in (draft.name, *draft.aliases)}
# The same wire format, but clients of hybi-03 announced it as 3, and some servers insist on that.
_BY_NAME["hybi-03"] = attrs.evolve(_BY_NAME["hybi-02"], opening=Hixie76Opening(draft_number="3"))


def draft_named(name: DraftName | str | Draft) -> Draft:
    """Returns the draft with that name or alias; a `Draft` is returned as it is.

    Raises:
        ValueError: no draft has that name; the message lists all names.
        TypeError: it is neither a name nor a draft.
    """
    if isinstance(name, Draft):
        return name
    if not isinstance(name, str):
        raise TypeError(f"draft is a name or a Draft, not {name!r}")
    try:
        return _BY_NAME[name]
    except KeyError:
        known = "; ".join(" = ".join((draft.name, *draft.aliases)) for draft in DRAFTS)
        raise ValueError(f"no draft is named {name!r}; there are: {known}") from None


def auto_drafts() -> tuple[Draft, ...]:
    """Returns the drafts that a client tries, in that order."""
    by_order = {draft.auto_order: draft for draft in DRAFTS if draft.auto_order is not None}
    return tuple(by_order[place] for place in sorted(by_order))


def allowed_drafts(names: Iterable[DraftName | str | Draft] | None) -> tuple[Draft, ...]:
    """Returns the drafts that a server speaks, in the order of `DRAFTS`: those named, or all if
    `names` is None.

    Raises:
        ValueError: a name is unknown, or `names` is empty.
    """
    if names is None:
        return DRAFTS
    chosen = {draft_named(name) for name in names}
    if not chosen:
        raise ValueError("a server must speak one draft at least")
    return tuple(sorted(chosen, key=lambda draft: _POSITIONS.get(draft, len(DRAFTS))))


_POSITIONS = {draft: position for position, draft in enumerate(DRAFTS)}
