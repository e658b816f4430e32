"""What the codecs of all drafts are fed with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import attrs

from trio_draftws.drafts import (
    COMPRESSION,
    DRAFTS,
    Codec,
    Deflate,
    Draft,
    Event,
    Fragment,
    NegotiatedParameters,
    RemoteProtocolError,
    Role,
)
from trio_draftws.drafts._framing import inflating as _inflating
from trio_draftws.drafts._framing import long_payloads as _long_payloads
from trio_draftws.drafts._framing.compression import Window
from trio_draftws.drafts._framing.frame_codec import FrameCodec
from trio_draftws.drafts._framing.hybi_01_to_06 import EarlyHybiCodec, frame_key
from trio_draftws.drafts._framing.masking import apply_mask
from trio_draftws.drafts._framing.rfc6455 import Rfc6455Codec

from . import vectors
from .decoding import NO_DEFLATE, Outcome, check_decoding
from .growth import check_growth
from .oracle import Choices, Finding, Target, bytewise

ROLES: tuple[Role, ...] = ("client", "server")
PEER: dict[Role, Role] = {"client": "server", "server": "client"}
NO_YES = (False, True)
# Only hybi-04 asks for one. What a client masks with is no secret here, and always the same.
CONNECTION_KEY = bytes(range(20))
KEY = b"\x01\x02\x03\x04"
LIMITS = (math.inf, 300, 40, 5, 0)
# Compressed, a few bytes may say very much.
LIMITS_INFLATED = (1 << 17, 300, 40, 5, 0)
BITS = range(8, 16)
# Of an input: each is decoded byte by byte, and there are lengths of two bytes in it.
SIZE = 320
WIDEST = Window(15, takeover=True)
# Inputs are short, so a place has to be worth it for less: where bit 4 of the seed says so. In the
# same way bit 3 says that each compressed frame inflates to enough for one call.
LITTLE = 8
CUTS_AND_PLACES = 0b1010111
CUTS_AND_PORTIONS = 0b1101
# A history grows to twice the largest window before it is cut.
MOST_HISTORY = 2 * (1 << 15)


def new_codec(
    draft: Draft, role: Role, limit: float = math.inf, deflate: Deflate | None = None
) -> Codec:
    codec = draft.codec(
        role, limit, NegotiatedParameters(masking_key=CONNECTION_KEY, deflate=deflate)
    )
    if isinstance(codec, FrameCodec) and codec._encoder.new_key is not None:
        codec._encoder.new_key = lambda: KEY
    return codec


def encoded(codec: Codec, events: Iterable[Event], compress: bool | None = None) -> bytes:
    return b"".join(bytes(part) for event in events for part in codec.encode(event, compress))


def some_deflate(choices: Choices) -> Deflate:
    """What might have been agreed to, alike for both sides."""
    bits, per_frame, anew = choices.pick(BITS), choices.pick(NO_YES), choices.pick(NO_YES)
    window = Window(bits, takeover=not anew)
    return Deflate("", window, window, COMPRESSION, per_frame=per_frame)


def clear_frames(wire: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Header and payload of each frame that a server has sent; the last one may be cut."""
    while wire:
        length = wire[1] & 0x7F if len(wire) > 1 else 0
        size = {126: 4, 127: 10}.get(length, 2)
        if size > 2:
            length = int.from_bytes(wire[2:size], "big")
        yield wire[:size], wire[size : size + length]
        wire = wire[size + length :]


def as_client(draft: Draft, wire: bytes) -> bytes:
    """What a server has sent, as a client of the draft would have sent it."""
    codec = new_codec(draft, "client")
    if isinstance(codec, Rfc6455Codec):
        return b"".join(
            header[:1]
            + bytes(byte | 0x80 for byte in header[1:2])
            + header[2:]
            + KEY
            + apply_mask(payload, KEY)
            for header, payload in clear_frames(wire)
        )
    if isinstance(codec, EarlyHybiCodec) and codec._encoder.new_key is not None:
        key = frame_key(codec.header_format, KEY, CONNECTION_KEY)
        return b"".join(
            KEY + apply_mask(header + payload, key) for header, payload in clear_frames(wire)
        )
    return wire


def trickle(codec: Codec, chunks: Iterable[bytes]) -> None:
    """Feeds a codec up to a violation."""
    try:
        for chunk in chunks:
            codec.decode(chunk)
    except RemoteProtocolError:
        pass


def check_frames(
    draft: Draft,
    role: Role,
    limit: float,
    deflate: Deflate | None,
    wire: bytes,
    *,
    seed: int,
    stream_from: int,
) -> Outcome:
    """As `check_decoding`, with codecs of a draft."""

    def check(deflate: Deflate | None) -> Outcome:
        return check_decoding(
            lambda: new_codec(draft, role, limit, deflate),
            wire,
            seed=seed,
            limit=limit,
            kept=MOST_HISTORY if deflate else 0,
            stream_from=stream_from,
        )

    worth_a_place = LITTLE if seed & 0x10 else _long_payloads.WORTH_A_BUFFER
    enough = 1 if seed & 0x08 else _inflating.MOST_INFLATED
    with sizes(worth_a_place, enough):
        return allowing_for_zlib(check, deflate)


@contextmanager
def sizes(worth_a_place: int, enough: int) -> Iterator[None]:
    """From so many bytes that are missing on, there is a place for them; and so many inflated are
    enough for one call.
    """
    before = _long_payloads.WORTH_A_BUFFER, _inflating.MOST_INFLATED
    _long_payloads.WORTH_A_BUFFER, _inflating.MOST_INFLATED = worth_a_place, enough
    try:
        yield
    finally:
        _long_payloads.WORTH_A_BUFFER, _inflating.MOST_INFLATED = before


def allowing_for_zlib(
    check: Callable[[Deflate | None], Outcome], deflate: Deflate | None
) -> Outcome:
    """What `check` returns, with `deflate` or else a wider window."""
    try:
        return check(deflate)
    except Finding as finding:
        if not deflate or deflate.client == WIDEST or NO_DEFLATE not in str(finding):
            raise
        # zlib lets nobody look back behind the window, but for what one call has inflated: there
        # it does. So if the peer breaks that rule, what becomes of it depends on the cuts. No
        # distance goes behind the widest window.
        return check(attrs.evolve(deflate, client=WIDEST, server=WIDEST))


@attrs.frozen
class Family:
    """Drafts that are fuzzed together: the first bytes of an input say which, and in which role."""

    drafts: tuple[Draft, ...]
    deflates: bool = False

    def check(self, data: bytes) -> None:
        """Tries one input: which codec, how it is cut and streamed, and the bytes on the wire."""
        choices = Choices(data)
        draft, role = choices.pick(self.drafts), choices.pick(ROLES)
        limit = choices.pick(LIMITS_INFLATED if self.deflates else LIMITS)
        deflate = some_deflate(choices) if self.deflates else None
        is_clear, seed, stream_from = choices.pick(NO_YES), choices.byte(), choices.byte()

        def on_wire(rest: bytes) -> bytes:
            return as_client(draft, rest) if is_clear and role == "server" else rest

        def feed(rest: bytes) -> None:
            trickle(new_codec(draft, role, limit, deflate), bytewise(on_wire(rest)))

        check_growth(feed, choices)
        check_frames(
            *(draft, role, limit, deflate, on_wire(choices.rest)),
            seed=seed,
            stream_from=stream_from,
        )

    def seeds(self, wires: Sequence[bytes]) -> Iterator[bytes]:
        """Inputs with each of these, as clients would send them too, for each draft and role."""
        for place in range(len(self.drafts)):
            for role in range(len(ROLES)):
                settings = [place, role, 0, *([7, 0, 0] if self.deflates else ())]
                for wire in wires:
                    for seed in (CUTS_AND_PLACES, CUTS_AND_PORTIONS)[: 1 + self.deflates]:
                        yield bytes([*settings, 1, seed, 0, 0, 9]) + wire


def named(*numbers: str) -> tuple[Draft, ...]:
    """The rows whose names end so."""
    return tuple(draft for draft in DRAFTS if draft.name.endswith(numbers))


SENTINEL = Family(named("-75", "-76"))
LENGTH64 = Family(named("2010-08"))
HYBI_01 = Family(named("hybi-01", "hybi-02"))
HYBI_04 = Family(named("hybi-04", "hybi-05", "hybi-06"))
RFC6455 = Family(tuple(draft for draft in DRAFTS if draft.compression))
DEFLATE = Family(RFC6455.drafts, deflates=True)


def conversation(family: Family, *, compress: bool = False) -> list[bytes]:
    """What a server of the newest draft of a family may say, as one and part by part."""
    draft = family.drafts[-1]
    deflate = some_deflate(Choices(b"\x07")) if family.deflates else None
    said: list[Event] = [
        "a text, a text",
        b"\x00\xff" * 70,
        Fragment("in "),
        Fragment("p\u00e9rts"),
        Fragment(" of it", final=True),
        "again, a text, a text",
    ]
    return [encoded(new_codec(draft, "server", deflate=deflate), said, compress=compress)]


def deflate_seeds() -> Iterator[bytes]:
    wires = [
        *vectors.compressed("permessage-deflate"),
        *vectors.compressed("deflate-frame / x-webkit-deflate-frame"),
        *conversation(DEFLATE, compress=True),
        *vectors.frames("F-07"),
    ]
    yield from DEFLATE.seeds(wires)


TARGETS = (
    Target(
        "hixie",
        "decoding in hixie-75 and hixie-76",
        SENTINEL.check,
        lambda: SENTINEL.seeds(vectors.frames("F-S")),
        words=(b"\x00", b"\xff", b"\xff\x00", b"\x80\x80", b"\xed\xa0\x80"),
        max_size=SIZE,
    ),
    Target(
        "whatwg_2010",
        "decoding in the draft of August 2010",
        LENGTH64.check,
        lambda: LENGTH64.seeds(vectors.frames("F-L64")),
        words=(bytes(9), b"\xff" + bytes(7), b"\xed\xa0\x80"),
        max_size=SIZE,
    ),
    Target(
        "hybi-01",
        "decoding in hybi-01 to 03",
        HYBI_01.check,
        lambda: HYBI_01.seeds([*vectors.frames("F-MORE"), *conversation(HYBI_01)]),
        max_size=SIZE,
    ),
    Target(
        "hybi-04",
        "decoding in hybi-04 to 06",
        HYBI_04.check,
        lambda: HYBI_04.seeds([*vectors.frames("F-04", "F-05"), *conversation(HYBI_04)]),
        max_size=SIZE,
    ),
    Target(
        "rfc6455",
        "decoding in hybi-07 to RFC 6455",
        RFC6455.check,
        lambda: RFC6455.seeds([*vectors.frames("F-07"), *conversation(RFC6455)]),
        max_size=SIZE,
        words=(b"\x01", b"\x80", b"\x81", b"\x82", b"\x88\x02\x03\xe8", b"\x89\x00", b"\xed\xa0"),
    ),
    Target(
        "deflate",
        "the same with permessage-deflate and x-webkit-deflate-frame, in every window",
        DEFLATE.check,
        deflate_seeds,
        max_size=SIZE,
        words=(b"\xc1", b"\x41", b"\x00\x00\xff\xff", b"\x03\x00", b"\x01\x00\x00\xff\xff"),
    ),
)
