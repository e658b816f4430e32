"""What a side of a connection can be told to do, step by step.

A step's repr is the expression that makes it, so a program can be read, pasted and run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs


@attrs.frozen(repr=False)
class Step:
    """One thing to do."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_arguments(self))})"

    def inner(self) -> Iterator[Step]:
        """All steps that stand inside this one."""
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                for step in value:
                    yield step
                    yield from step.inner()


def _arguments(step: Step) -> Iterator[str]:
    """The arguments to make `step` with; defaults are left out."""
    named = False
    for field in attrs.fields(type(step)):
        value: Any = getattr(step, field.name)
        if field.name == "steps":
            yield from map(repr, value)
        elif value == field.default:
            named = True
        else:
            yield f"{field.name}={value!r}" if named else repr(value)


# For both


@attrs.frozen(repr=False)
class Sleep(Step):
    """Does nothing for so many seconds."""

    seconds: float


@attrs.frozen(repr=False)
class Send(Step):
    """Sends so many messages of so many bytes, one after the other."""

    count: int = 1
    size: int = 20


@attrs.frozen(repr=False)
class SendStream(Step):
    """Sends one message in parts of `size` bytes, with a pause before each but the first."""

    parts: int = 2
    size: int = 20
    pause: float = 0


@attrs.frozen(repr=False, init=False)
class Repeat(Step):
    """Does some steps again and again, until the end of the connection was told."""

    times: int
    steps: tuple[Step, ...]

    def __init__(self, times: int, *steps: Step) -> None:
        self.__attrs_init__(times, steps)


@attrs.frozen(repr=False, init=False)
class Within(Step):
    """Does some steps, and cancels them after so many seconds."""

    seconds: float
    steps: tuple[Step, ...]

    def __init__(self, seconds: float, *steps: Step) -> None:
        self.__attrs_init__(seconds, steps)


# For the library


@attrs.frozen(repr=False)
class SendMany(Step):
    """Sends so many messages with one `send_many`."""

    count: int = 2
    size: int = 20


@attrs.frozen(repr=False)
class Broadcast(Step):
    """Broadcasts so many messages to this connection, `slow="close"`, all in one go."""

    count: int = 1
    size: int = 20


@attrs.frozen(repr=False)
class Receive(Step):
    """Receives so many messages."""

    count: int = 1


@attrs.frozen(repr=False)
class ReceiveMany(Step):
    """Receives whatever is there, one message at least."""


@attrs.frozen(repr=False)
class ReceiveStream(Step):
    """Receives a message part by part, with a pause after each; leaves it after so many parts."""

    parts: int | None = None
    pause: float = 0


@attrs.frozen(repr=False)
class ReceiveAll(Step):
    """Receives until the connection ends."""


@attrs.frozen(repr=False)
class Answer(Step):
    """So many times: receives a message, takes its time, and sends one."""

    count: int = 1
    after: float = 0


@attrs.frozen(repr=False)
class WaitReadable(Step):
    """Waits until there is something to receive, and receives nothing."""


@attrs.frozen(repr=False)
class Ping(Step):
    """Pings the peer, and waits for its answer."""


@attrs.frozen(repr=False)
class SendClose(Step):
    """Says that nothing more will be sent."""


@attrs.frozen(repr=False)
class Aclose(Step):
    """Closes the connection."""


@attrs.frozen(repr=False)
class Compute(Step):
    """Keeps the processor to itself for some milliseconds of real time."""


@attrs.frozen(repr=False)
class Raise(Step):
    """Fails, as a program with a mistake does."""


@attrs.frozen(repr=False)
class Meanwhile(Step):
    """Two tasks on one connection; the second one's messages are counted apart."""

    one: tuple[Step, ...]
    other: tuple[Step, ...]


# For peers by hand, which read all that comes and answer pings and Close until they are told
# otherwise


@attrs.frozen(repr=False)
class Drip(Step):
    """Sends one message of so many bytes, one byte of the wire at a time."""

    size: int = 20
    pause: float = 0


@attrs.frozen(repr=False)
class Half(Step):
    """Begins a message that it never ends."""

    size: int = 20


@attrs.frozen(repr=False)
class Pings(Step):
    """Sends so many pings in one go."""

    count: int = 1
    size: int = 4


@attrs.frozen(repr=False)
class Pongs(Step):
    """Sends so many pongs that nobody asked for."""

    count: int = 1


@attrs.frozen(repr=False)
class Violate(Step):
    """Sends what its draft does not allow."""


@attrs.frozen(repr=False)
class Close(Step):
    """Says the draft's goodbye, and goes on reading."""


@attrs.frozen(repr=False)
class Eof(Step):
    """Ends its side of the stream without a word, and goes on reading."""


@attrs.frozen(repr=False)
class Reset(Step):
    """Closes its stream without a word."""


@attrs.frozen(repr=False)
class Vanish(Step):
    """Neither reads nor writes ever again; its stream stays as it is."""


@attrs.frozen(repr=False)
class Read(Step):
    """Reads so many bytes a second from now on: 0 for none, None for all that comes."""

    rate: int | None = None


@attrs.frozen(repr=False)
class Answering(Step):
    """Whether to answer pings and Close from now on."""

    on: bool = False


@attrs.frozen(repr=False)
class Stall(Step):
    """Stops the whole process for so many seconds, as SIGSTOP and SIGCONT do."""

    seconds: float
