"""Compressed echoes: JSON that a client compresses as permessage-deflate says, and inflates again.

RFC 7692. What the client sends is compressed beforehand. Where a compressor goes on with what it
has seen (context takeover), the same message again would be a few bytes long; so there are as many
different ones as fill the window, and they are compressed twice, one after the other. What came of
the second time can then be sent for ever: what it refers back to is always there.
"""

from __future__ import annotations

import random
import re
import socket
import zlib
from typing import BinaryIO, cast

import attrs

from .dial import connected, shake_hands
from .task import Failed, Sample, Task, measured
from .wire import TEXT_FRAME, HeaderFormat, dialect_of, masked_frame

# What browsers offer
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
# RFC 7692 section 6: a message is marked by RSV1; what ends each is neither sent nor there
COMPRESSED = 0x40
TAIL = b"\x00\x00\xff\xff"
# RFC 6455 section 5.2
FIN, LENGTH = 0x80, 0x7F

WINDOW = 1 << 15
# Twice what any message may refer back to
CYCLE = 2 * WINDOW

WORDS = (
    *("please", "leave", "behind", "shed", "gift", "neighbour", "call", "before", "fragile"),
    *("ring", "twice", "back", "door", "second", "floor", "evening", "invoice", "attached"),
)
CITIES = ("Bergen", "Ghent", "Lisbon", "Oslo", "Porto", "Turin", "Vienna")
STATES = ("open", "paid", "shipped", "returned")


@attrs.frozen
class ServerOptions:
    """What was agreed on. Section 7.1."""

    client_takeover: bool = True
    server_takeover: bool = True
    client_bits: int = 15
    """The window of what the client compresses has two to the power of so many bytes."""


def terms_of(head: bytes) -> ServerOptions:
    """What the server's answer says.

    Raises:
        Failed: that it does not compress.
    """
    found = re.search(rb"\r\nsec-websocket-extensions: *([^\r\n]*)", head, re.IGNORECASE)
    parts = [] if found is None else [part.strip() for part in found[1].decode().split(";")]
    if not parts or parts[0] != "permessage-deflate":
        raise Failed("it does not negotiate permessage-deflate")
    names = dict((*part.split("="), "")[:2] for part in parts[1:])
    bits = names.get("client_max_window_bits", "").strip('"')
    return ServerOptions(
        "client_no_context_takeover" not in names,
        "server_no_context_takeover" not in names,
        int(bits) if bits else 15,
    )


def order(chance: random.Random) -> str:
    note = " ".join(chance.choices(WORDS, k=chance.randrange(3, 7)))
    day = f"{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
    time = f"{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.randrange(60):02}"
    return (
        f'{{"id":{chance.randrange(10**6)},"customer":"{chance.getrandbits(32):08x}",'
        f'"city":"{chance.choice(CITIES)}","state":"{chance.choice(STATES)}",'
        f'"amount":{chance.uniform(1, 1000):.2f},"at":"2026-{day}T{time}Z","note":"{note}"}}'
    )


def document(chance: random.Random, size: int) -> bytes:
    """Orders as JSON, filled up with blanks to so many bytes, which are less than an order has."""
    begin, end = '{"orders":[', "]}"
    orders: list[str] = []
    left = size - len(begin) - len(end)
    while len(another := order(chance)) <= left:
        orders.append(another)
        left -= len(another) + 1
    return (begin + ",".join(orders) + end).ljust(size).encode()


def documents(size: int) -> list[bytes]:
    """As many as fill the window, always the same."""
    chance = random.Random(7692)
    return [document(chance, size) for _ in range(max(2, CYCLE // size))]


def frames(payloads: list[bytes], terms: ServerOptions) -> tuple[list[bytes], list[bytes]]:
    """The messages compressed and framed: for the first time, and for every other."""
    compressor = zlib.compressobj(wbits=-terms.client_bits)

    def compressed(payload: bytes) -> bytes:
        nonlocal compressor
        if not terms.client_takeover:
            compressor = zlib.compressobj(wbits=-terms.client_bits)
        data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return masked_frame(data.removesuffix(TAIL), TEXT_FRAME | COMPRESSED)

    first = [compressed(payload) for payload in payloads]
    return first, [compressed(payload) for payload in payloads]


@attrs.define(eq=False)
class Answers:
    """What the server sends, inflated."""

    source: BinaryIO
    takeover: bool
    inflater: zlib._Decompress = attrs.field(init=False)
    came: int = attrs.field(default=0, init=False)
    """Bytes on the wire, without headers."""
    messages: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.inflater = zlib.decompressobj(wbits=-15)

    def take(self, size: int) -> bytes:
        """Exactly so many bytes."""
        data = self.source.read(size)
        if len(data) < size:
            raise Failed("the server ended the connection")
        return data

    def message(self) -> bytes:
        """The next one, whatever fragments it comes in."""
        data, first = b"", True
        while True:
            head, length = self.take(2)
            if first and not head & COMPRESSED:
                raise Failed("what it sends back is not compressed")
            # RFC 6455 section 5.2
            if length & LENGTH >= 126:
                length = int.from_bytes(self.take(2 if length == 126 else 8), "big")
            data += self.take(length)
            first = False
            if head & FIN:
                break
        self.came += len(data)
        self.messages += 1
        if not self.takeover:
            self.inflater = zlib.decompressobj(wbits=-15)
        return self.inflater.decompress(data + TAIL)


def deflated(task: Task) -> Sample:
    """One connection with one compressed message in flight, which comes back compressed."""
    dialect = dialect_of(task.dialect)
    with connected(task) as sock:
        terms = terms_of(shake_hands(sock, offering(dialect)))
        payloads = documents(task.size)
        first, ever = frames(payloads, terms)
        with cast(BinaryIO, sock.makefile("rb", buffering=1 << 16)) as source:
            answers = Answers(source, terms.server_takeover)
            exchange(sock, answers, first, payloads)
            if answers.came > sum(map(len, payloads)) / 2:
                raise Failed("what it sends back is hardly compressed")
            sample = measured(task, task.pid, lambda: exchange(sock, answers, ever, payloads))
            return attrs.evolve(sample, sent=answers.came / answers.messages)


def offering(dialect: HeaderFormat) -> HeaderFormat:
    """The same, with compression offered."""
    return attrs.evolve(dialect, request=dialect.request.removesuffix(b"\r\n") + OFFER + b"\r\n")


def exchange(
    sock: socket.socket, answers: Answers, wires: list[bytes], payloads: list[bytes]
) -> int:
    for wire, payload in zip(wires, payloads, strict=True):
        sock.sendall(wire)
        came = answers.message()
        if came != payload:
            raise Failed(f"the server sent {came[:80]!r}…, not the echo")
    return len(wires)
