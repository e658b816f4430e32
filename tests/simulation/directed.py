"""Small programs that were picked by hand: one or more for each fault that there ever was.

Each is run in every draft that it concerns, and with our library in both roles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from trio_draftws import DRAFTS, Draft

from .programs import Library, Link, Program, Raw
from .steps import (
    Aclose,
    Answer,
    Answering,
    Broadcast,
    Close,
    Compute,
    Eof,
    Half,
    Meanwhile,
    Ping,
    Pings,
    Read,
    Receive,
    ReceiveAll,
    ReceiveMany,
    ReceiveStream,
    Repeat,
    Send,
    SendClose,
    SendMany,
    SendStream,
    Sleep,
    Stall,
    Step,
    Vanish,
    WaitReadable,
    Within,
)

ALL: Callable[[Draft], bool] = lambda draft: True  # noqa: E731
PINGS: Callable[[Draft], bool] = lambda draft: draft.ping  # noqa: E731
NO_PINGS: Callable[[Draft], bool] = lambda draft: not draft.ping  # noqa: E731


@attrs.frozen
class Directed:
    """A program by hand, for each of its drafts."""

    name: str
    raw: tuple[Step, ...] | None
    """What the peer by hand does; None where both sides are the library."""
    ours: tuple[Step, ...]
    until: float = 100
    transports: tuple[str, ...] = ("unix",)
    concerns: Callable[[Draft], bool] = ALL
    theirs: tuple[Step, ...] = ()
    """What the other side does where that is the library too."""

    def programs(self) -> Iterator[Program]:
        """One for each draft and stream."""
        for transport in self.transports:
            for draft in DRAFTS:
                if self.concerns(draft):
                    yield Program(transport, *self._links(draft.name), until=self.until)

    def _links(self, draft: str) -> Iterator[Link]:
        if self.raw is None:
            yield Link(draft, Library(*self.ours), Library(*self.theirs))
            yield Link(draft, Library(*self.theirs), Library(*self.ours))
        else:
            yield Link(draft, Raw(*self.raw), Library(*self.ours))
            yield Link(draft, Library(*self.ours), Raw(*self.raw))


SOCKETS = ("unix", "tls")
ASLEEP = (Sleep(10_000),)

DIRECTED = (
    # One message that nobody receives, and then nothing: the process spun for ever
    Directed("unread, vanished", (Send(), Vanish()), ASLEEP, 150, SOCKETS, PINGS),
    Directed("unread, vanished, no pings", (Send(), Vanish()), ASLEEP, 3700, SOCKETS, NO_PINGS),
    Directed("unread, half closed", (Send(), Eof()), ASLEEP, 100, SOCKETS),
    Directed("unread, closed", (Send(), Close()), ASLEEP, 100, SOCKETS),
    # Given up because nobody looked: the answer to a ping, or a message, lay there
    Directed("stall behind a pong", (Sleep(21), Stall(25)), ASLEEP, 100, SOCKETS, PINGS),
    Directed(
        "stall behind messages",
        (Sleep(21), Send(3), Stall(25)),
        (Sleep(80), Receive(3)),
        100,
        ("unix", "lockstep"),
        PINGS,
    ),
    Directed(
        "stall behind silence",
        (Sleep(3589), Send(), Stall(30)),
        ASLEEP,
        3700,
        concerns=NO_PINGS,
    ),
    # Answered late, or never
    Directed("close to a sleeper", (Sleep(2.1), Close()), ASLEEP, 30, SOCKETS),
    Directed("close behind the opening", (Close(),), ASLEEP, 30, SOCKETS),
    Directed("close behind a message", (Sleep(2.1), Send(), Close()), ASLEEP, 30, SOCKETS),
    Directed("ping to a sleeper", (Sleep(2.1), Pings()), ASLEEP, 30, SOCKETS, PINGS),
    Directed("leaving a sleeper", None, (Sleep(2.1),), 30, SOCKETS, theirs=ASLEEP),
    Directed(
        "leaving one that only sends",
        None,
        (Sleep(6.1),),
        30,
        SOCKETS,
        theirs=(Repeat(50, Send(), Sleep(5)), *ASLEEP),
    ),
    Directed(
        "leaving one with a message unread",
        None,
        (Sleep(2.1), Send()),
        30,
        SOCKETS,
        theirs=ASLEEP,
    ),
    # Full for a while: then only the end of the stream is watched for
    Directed(
        "close behind what was full",
        (Send(1, 65_535), Sleep(1), Send(2, 4096), Close()),
        (Sleep(0.12), Receive(), *ASLEEP),
        30,
        SOCKETS,
    ),
    Directed(
        "ping behind what was full",
        (Send(1, 65_535), Sleep(1), Pings()),
        (Sleep(0.12), Receive(), *ASLEEP),
        30,
        SOCKETS,
        PINGS,
    ),
    # The answer to a message before a Close, however TCP cut the two
    Directed(
        "answer behind a close",
        (Sleep(1.8), Send(), Sleep(0.1), Close()),
        (Receive(), Sleep(0.5), Send(), ReceiveAll()),
        30,
        ("unix", "tls", "memory"),
    ),
    Directed(
        "answer to a close in one piece",
        (Sleep(1.8), Send(), Close()),
        (Receive(), Sleep(0.5), Send(), ReceiveAll()),
        30,
        SOCKETS,
    ),
    # Given up and kept all the same; given up too early
    Directed("vanished", (Vanish(),), ASLEEP, 150, ("unix", "tcp", "tls"), PINGS),
    Directed("vanished, no pings", (Vanish(),), ASLEEP, 3700, SOCKETS, NO_PINGS),
    Directed("half closed", (Sleep(1), Eof()), ASLEEP, 30, SOCKETS),
    Directed("half closed, and told", (Send(), Eof()), (ReceiveAll(), *ASLEEP), 30, SOCKETS),
    Directed(
        "too slow for a broadcast",
        (Send(), Read(0)),
        (Sleep(1), Broadcast(30, 100_000), *ASLEEP),
        30,
        SOCKETS,
    ),
    Directed(
        "unread for longer than silence may last",
        (Send(7, 40_000),),
        (Sleep(3700), Receive(7), Sleep(10)),
        3720,
    ),
    Directed(
        "stuck for less than writing may take",
        (Sleep(25), Read(0), Sleep(50), Read()),
        ASLEEP,
        150,
        ("lockstep",),
        PINGS,
    ),
    # Two at once, or one that went on too early
    Directed(
        "message left early",
        (Send(2, 20_000),),
        (ReceiveStream(1), ReceiveStream(), Sleep(1)),
        30,
        SOCKETS,
    ),
    Directed(
        "receive and receive_many at once",
        None,
        (Repeat(6, Receive(), Compute(), Meanwhile((Receive(),), (ReceiveMany(),))), Sleep(1)),
        30,
        theirs=(Repeat(20, SendMany(2), Sleep(1)),),
    ),
    Directed(
        "receive and receive_stream at once",
        None,
        (Repeat(6, Receive(), Compute(), Meanwhile((Receive(),), (ReceiveStream(),))), Sleep(1)),
        30,
        theirs=(Repeat(20, SendMany(2), Sleep(1)),),
    ),
    # A goodbye that somebody saw who then did something else
    Directed(
        "close seen by wait_readable", (Sleep(1), Close()), (WaitReadable(), *ASLEEP), 30, SOCKETS
    ),
    # A dead peer that is pinged under a timeout, again and again
    Directed(
        "pinged for ever", (Vanish(),), (Repeat(60, Within(15, Ping())),), 600, SOCKETS, PINGS
    ),
    # Each of these while something is under way
    Directed(
        "vanished from a long send",
        (Read(0), Sleep(1), Vanish()),
        (Send(50, 70_000), *ASLEEP),
        150,
        SOCKETS,
        PINGS,
    ),
    Directed(
        "vanished inside a message",
        (Half(17_000), Vanish()),
        (ReceiveStream(1, 10_000),),
        150,
        SOCKETS,
        PINGS,
    ),
    Directed(
        "close inside a message that is taken slowly",
        (Send(1, 30_000), Sleep(1), Close()),
        (ReceiveStream(1, 10_000),),
        30,
        SOCKETS,
    ),
    Directed(
        "ping inside a message that is taken slowly",
        (Send(1, 30_000), Sleep(2.1), Pings()),
        (ReceiveStream(1, 10_000),),
        30,
        SOCKETS,
        PINGS,
    ),
    Directed(
        "half closed during a long send",
        (Sleep(1), Read(0), Sleep(1), Eof()),
        (Send(50, 70_000), *ASLEEP),
        150,
        SOCKETS,
    ),
    # What must go on to work
    Directed("aclose against silence", (Answering(on=False),), (Sleep(1), Aclose()), 30, SOCKETS),
    Directed(
        "answers at leisure",
        (Send(), Sleep(30), Send(), Sleep(30), Close()),
        (Answer(2, 1.5), ReceiveAll()),
        100,
        SOCKETS,
    ),
    Directed(
        "message in parts",
        (SendStream(3, 20_000, 25),),
        (ReceiveStream(), SendClose(), ReceiveAll()),
        100,
        SOCKETS,
    ),
)
