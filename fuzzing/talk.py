"""What one side says the other hears: in every draft, compressed or not, whole or part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from trio_draftws.drafts import (
    DRAFTS,
    Close,
    Codec,
    Draft,
    EncodedText,
    Event,
    Fragment,
    LocalProtocolError,
    Ping,
    Pong,
)

from .decoding import Outcome
from .frames import (
    CUTS_AND_PLACES,
    NO_YES,
    PEER,
    ROLES,
    check_frames,
    encoded,
    new_codec,
    some_deflate,
)
from .oracle import Choices, Target, expect

MAX_EVENTS = 12
# Many that are short, that where lengths change their form, and one for what compresses well
SIZES: tuple[int, ...] = (*range(16), 32, 64, 125, 126, 300, 5000)
CODES = (None, 999, 1000, 1004, 1005, 1010, 1015, 3000, 4999, 5000)
COMPRESS = (None, True, False)
# What is longer would take too long, byte by byte.
MOST_ON_WIRE = 1024
MOST_SAID = 1 << 20


@attrs.define
class Speaker:
    """Says what an input chooses, and keeps what should be heard."""

    draft: Draft
    codec: Codec
    choices: Choices
    wire: bytes = b""
    heard: list[Event] = attrs.field(factory=list)
    parts: list[str | bytes] = attrs.field(factory=list)

    def speak(self) -> None:
        kinds: tuple[Callable[[], Event], ...] = (
            self.text,
            self.binary,
            self.part,
            self.ping,
            self.pong,
        )
        for _ in range(self.choices.byte() % MAX_EVENTS):
            compress = self.choices.pick(COMPRESS)
            self.say(self.choices.pick(kinds)(), compress)
        if self.choices.pick(NO_YES):
            self.say(self.close(), None)

    def say(self, event: Event, compress: bool | None) -> None:
        """Says it, and notes what is to be heard; what the draft cannot say changes nothing."""
        if self.parts and isinstance(event, (str, bytes)):
            return
        try:
            self.wire += encoded(self.codec, [event], compress)
        except LocalProtocolError as error:
            expect(str(error), "a refusal says nothing", event)
            expect(not self.can(event), "what the draft can say is refused", event, error)
            return
        if isinstance(event, Fragment):
            self.parts.append(event.data)
            if event.final:
                self.heard.append(type(event.data)().join(self.parts))  # type: ignore[arg-type]
                self.parts.clear()
        else:
            self.heard.append(event)

    def can(self, event: Event) -> bool:
        """Whether the draft surely has a way to say it."""
        if isinstance(event, (str, EncodedText)):
            return True
        if isinstance(event, bytes):
            return self.draft.binary
        if isinstance(event, Fragment):
            # All parts are of one kind.
            return self.draft.fragments and all(type(p) is type(event.data) for p in self.parts)
        if isinstance(event, Close):
            return self.draft.closing_handshake and event.code in (None, 1000) and not event.body
        return self.draft.ping and len(event.payload) <= 125

    def content(self) -> bytes:
        size = self.choices.pick(SIZES)
        unit = self.choices.take(self.choices.byte() % 16) or b"a"
        return (unit * (size // len(unit) + 1))[:size]

    def text(self) -> str:
        return self.content().decode("utf-8", "replace")

    def binary(self) -> bytes:
        return self.content()

    def part(self) -> Fragment:
        data = self.text() if self.choices.pick(NO_YES) else self.binary()
        return Fragment(data, final=self.choices.pick(NO_YES))

    def ping(self) -> Ping:
        return Ping(self.content())

    def pong(self) -> Pong:
        return Pong(self.content())

    def close(self) -> Close:
        code = self.choices.pick(CODES)
        reason = self.text() if code is not None else ""
        return Close(code, reason[:40], b"" if self.draft.close_status else self.content()[:130])


def check(data: bytes) -> None:
    """Lets one side talk to the other; then perhaps changes a byte on the wire."""
    choices = Choices(data)
    draft, role = choices.pick(DRAFTS), choices.pick(ROLES)
    deflate = some_deflate(choices) if choices.pick(NO_YES) and draft.compression else None
    seed, stream_from = choices.byte(), choices.byte()
    spoils, place = choices.pick(NO_YES), choices.byte() << 8 | choices.byte()
    change = choices.byte()
    speaker = Speaker(draft, new_codec(draft, PEER[role], deflate=deflate), choices)
    speaker.speak()
    wire = speaker.wire
    if len(wire) > MOST_ON_WIRE:
        return
    if spoils and wire:
        place %= len(wire)
        wire = wire[:place] + bytes([wire[place] ^ change]) + wire[place + 1 :]
    heard = check_frames(
        *(draft, role, MOST_SAID, deflate, wire), seed=seed, stream_from=stream_from
    )
    if wire == speaker.wire:
        expect_heard(draft, speaker.heard, heard)


def expect_heard(draft: Draft, said: list[Event], heard: Outcome) -> None:
    closes = bool(said) and isinstance(said[-1], Close)
    if closes and not draft.close_status:
        # What a close carries here is the draft's own, or nothing.
        expect(
            heard.events and isinstance(heard.events[-1], Close), "the close was not heard", heard
        )
        expect(said[:-1] == heard.events[:-1], "something else was heard", said, heard)
    else:
        expect(said == heard.events, "something else was heard", said, heard)
    expect(heard.violation is None, "what was said is a violation", said, heard)


def seeds() -> Iterator[bytes]:
    """Each draft in both roles, saying some of everything."""
    said = bytes([11, *(0, 0, 5, 3), *b"\xc3\xa9a", *(2, 1, 20, 1), *b"z", *(1, 1, 4, 1), 0])
    said += bytes([*(1, 2, 6, 2), *b"bc", 0, 0])
    for place in range(len(DRAFTS)):
        for role in range(len(ROLES)):
            for settings in (b"\x00\x00", b"\x01\x07\x00\x00", b"\x01\x00\x01\x01"):
                yield (
                    bytes([place, role])
                    + settings
                    + bytes([CUTS_AND_PLACES, 1, 0, 0, 9, 64])
                    + said
                )
                yield (
                    bytes([place, role])
                    + settings
                    + bytes([CUTS_AND_PLACES, 1, 1, 0, 9, 64])
                    + said
                )


TARGETS = (Target("round-trip", "what one side encodes, and the other decodes", check, seeds),)
