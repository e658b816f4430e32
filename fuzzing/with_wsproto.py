"""RFC 6455 as we decode it and as wsproto does, and why the two do not make the same of each wire.

A rule is a difference that is meant: it tells whether it is what the two differ by, and its
docstring says why they do. What no rule explains is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from wsproto import events as theirs
from wsproto.connection import Connection, ConnectionState, ConnectionType

from trio_draftws.drafts import (
    Close,
    Codec,
    Event,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
    draft_named,
)

from . import vectors
from .decoding import Outcome, outcome
from .frames import NO_YES, RFC6455, ROLES, as_client, conversation, new_codec
from .oracle import Choices, Finding, Target, at_random

DRAFT = draft_named("rfc6455")
SIDES: dict[Role, ConnectionType] = {
    "client": ConnectionType.CLIENT,
    "server": ConnectionType.SERVER,
}
Rule: TypeAlias = Callable[[Role, bytes, Outcome, Outcome], bool]


def wsproto_outcome(role: Role, chunks: list[bytes]) -> Outcome:
    """What wsproto makes of them: its messages put together, its failures as ours."""
    connection = Connection(SIDES[role])
    heard: list[Event] = []
    parts: list[str | bytes] = []
    for chunk in chunks:
        connection.receive_data(chunk)
        for event in connection.events():
            if isinstance(event, theirs.Message):
                parts.append(event.data)
                if event.message_finished and event.frame_finished:
                    heard.append(type(parts[0])().join(parts))  # type: ignore[arg-type]
                    parts.clear()
            elif isinstance(event, theirs.Ping):
                heard.append(Ping(bytes(event.payload)))
            elif isinstance(event, theirs.Pong):
                heard.append(Pong(bytes(event.payload)))
            elif isinstance(event, theirs.CloseConnection):
                if connection.state is ConnectionState.OPEN:
                    # It has not come: this is what is to be answered.
                    return Outcome(heard, (int(event.code), event.reason or ""))
                code = None if event.code == 1005 else int(event.code)
                return Outcome([*heard, Close(code, event.reason or "")], None)
    return Outcome(heard, None)


def check(data: bytes) -> None:
    """Gives the same bytes to both."""
    choices = Choices(data)
    role, is_clear, seed = choices.pick(ROLES), choices.pick(NO_YES), choices.byte()
    wire = choices.rest
    if is_clear and role == "server":
        wire = as_client(DRAFT, wire)
    ours = outcome(new_codec(DRAFT, role), [wire])
    others = wsproto_outcome(role, at_random(wire, seed))
    if not agree(ours, others) and not any(rule(role, wire, ours, others) for rule in RULES):
        raise Finding(f"no rule says why: {role}: {wire!r}: {ours}: {others}")


def agree(ours: Outcome, others: Outcome) -> bool:
    """Whether both make the same of it; a violation is its code, since the words are free."""
    codes = [each.violation and each.violation[0] for each in (ours, others)]
    return ours.events == others.events and codes[0] == codes[1]


# The rules

# What may follow something wrong: frames that are wrong, right, or go on with a text
WRONG = bytes(300)
PINGS = {"client": b"\x89\x00" * 50, "server": b"\x89\x80\x00\x00\x00\x00" * 50}
GOING_ON = {"client": b"\x00\x01a", "server": b"\x00\x81\x00\x00\x00\x00a"}


def fails_later(role: Role, wire: bytes, ours: Outcome, others: Outcome) -> bool:
    """We fail at the first byte that is wrong, wsproto when more of the frame or text has come.

    What follows cannot mend it.
    """
    del others
    if ours.violation is None:
        return False
    codec = new_codec(DRAFT, role)
    wrong = (end for end in range(1, len(wire) + 1) if fails_by(codec, wire[end - 1 : end]))
    end = next(wrong, len(wire))
    follows = [GOING_ON[role]] if ours.violation[0] == 1007 else [WRONG, PINGS[role]]
    return all(agree(ours, wsproto_outcome(role, [wire[:end] + more])) for more in follows)


def fails_by(codec: Codec, byte: bytes) -> bool:
    try:
        codec.decode(byte)
    except RemoteProtocolError:
        pass
    return codec.has_more_output


def code_1014(role: Role, wire: bytes, ours: Outcome, others: Outcome) -> bool:
    """A close may carry 1014, which was registered after RFC 6455; wsproto does not know it."""
    return ours.events[-1:] == [Close(1014, reason_of(ours))] and others == Outcome(
        ours.events[:-1], (1002, "CLOSE with unknown reserved code")
    )


def reason_of(ours: Outcome) -> str:
    close = ours.events[-1] if ours.events else None
    return close.reason if isinstance(close, Close) else ""


RULES: tuple[Rule, ...] = (fails_later, code_1014)


def seeds() -> Iterator[bytes]:
    for wire in [*vectors.frames("F-07"), *conversation(RFC6455)]:
        for role in range(len(ROLES)):
            for clear in range(2):
                yield bytes([role, clear, 5]) + wire


TARGETS = (Target("wsproto", "RFC 6455, compared with wsproto", check, seeds),)
