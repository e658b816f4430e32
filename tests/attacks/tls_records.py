"""A peer whose TLS records are made here one by one, so that it can say what no library would.

OpenSSL shakes hands for it, and tells the secrets as it does for Wireshark. Both versions use
AES-GCM here. It does not read what is sent to it until it is told to.

What it attacks is a stream inside the package, and not a connection: there it shows after each call
what was read, what waits to be written, and who is woken.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.pairs import tls_contexts
from tests.test_streams import direct_streams
from trio_draftws import ssl_stream_factory
from trio_draftws.drafts import Role

# What is read at once, how much of TLS's own output may wait, how much is encrypted at once, and
# how many records may come that have no data
RECEIVE_SIZE = 16384
MAX_OUTPUT = 65536
RECORDS_AT_ONCE = 65536
RECORDS_WITHOUT_DATA = 32

HANDSHAKE = 22
DATA = 23
# RFC 8446 section 4.6.3; the last byte asks the other side for the same.
KEY_UPDATE = b"\x18\x00\x00\x01\x00"
KEY_UPDATE_REQUESTED = b"\x18\x00\x00\x01\x01"
# RFC 8446 section 4.6.1: it lives for 256 s and says "tick".
TICKET = bytes.fromhex("04000011 00000100 00000000 00 0004") + b"tick" + bytes(2)
# RFC 5246 section 7.4.1.1
HELLO_REQUEST = bytes(4)
# RFC 5246 section 7.4.1.2, with one cipher suite and nothing else
CLIENT_HELLO = bytes.fromhex("0100002b 0303") + b"r" * 32 + bytes.fromhex("00 0002c02f 0100 0000")


class Protection13:
    """What one side of TLS 1.3 writes (RFC 8446 sections 5.2, 7.1 and 7.3)."""

    def __init__(self, secret: bytes, digest: hashes.HashAlgorithm, key_size: int) -> None:
        self._secret = secret
        self._digest = digest
        self._key_size = key_size
        self._make_keys()

    def _make_keys(self) -> None:
        self._aead = AESGCM(self._expand(b"key", self._key_size))
        self._iv = int.from_bytes(self._expand(b"iv", 12), "big")
        self._count = 0

    def _expand(self, label: bytes, size: int) -> bytes:
        label = b"tls13 " + label
        info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(self._digest, size, info).derive(self._secret)

    def _nonce(self) -> bytes:
        nonce = self._iv ^ self._count
        self._count += 1
        return nonce.to_bytes(12, "big")

    def _change_keys(self, kind: int, payload: bytes) -> None:
        if kind == HANDSHAKE and payload[:1] == KEY_UPDATE[:1]:
            self._secret = self._expand(b"traffic upd", self._digest.digest_size)
            self._make_keys()

    def encrypt(self, kind: int, payload: bytes) -> bytes:
        plain = payload + bytes([kind])
        header = bytes([DATA, 3, 3]) + (len(plain) + 16).to_bytes(2, "big")
        record = header + self._aead.encrypt(self._nonce(), plain, header)
        self._change_keys(kind, payload)
        return record

    def decrypt(self, record: bytes) -> tuple[int, bytes]:
        plain = self._aead.decrypt(self._nonce(), record[5:], record[:5])
        kind, payload = plain[-1], plain[:-1]
        self._change_keys(kind, payload)
        return kind, payload


class Protection12:
    """What one side of TLS 1.2 writes (RFC 5246 section 6.2.3.3, RFC 5288 section 3)."""

    def __init__(self, key: bytes, salt: bytes) -> None:
        self._aead = AESGCM(key)
        self._salt = salt
        # Behind the Finished of the handshake
        self._count = 1

    def _authenticated(self, kind: int, size: int) -> bytes:
        count = self._count.to_bytes(8, "big")
        self._count += 1
        return count + bytes([kind, 3, 3]) + size.to_bytes(2, "big")

    def encrypt(self, kind: int, payload: bytes) -> bytes:
        authenticated = self._authenticated(kind, len(payload))
        nonce = authenticated[:8]
        sealed = nonce + self._aead.encrypt(self._salt + nonce, payload, authenticated)
        return bytes([kind, 3, 3]) + len(sealed).to_bytes(2, "big") + sealed

    def decrypt(self, record: bytes) -> tuple[int, bytes]:
        kind, sealed = record[0], record[5:]
        authenticated = self._authenticated(kind, len(sealed) - 24)
        return kind, self._aead.decrypt(self._salt + sealed[:8], sealed[8:], authenticated)


def expand_master(master: bytes, digest: hashes.HashAlgorithm, seed: bytes, size: int) -> bytes:
    """The keys of a connection (RFC 5246 sections 5 and 6.3)."""

    def mac(data: bytes) -> bytes:
        made = hmac.HMAC(master, digest)
        made.update(data)
        return made.finalize()

    seed = b"key expansion" + seed
    made = b""
    link = seed
    while len(made) < size:
        link = mac(link)
        made += mac(link + seed)
    return made[:size]


@attrs.define(eq=False)
class RawPeer:
    """It writes whatever it is told, and decrypts what it reads."""

    stream: Any
    _ours: Protection12 | Protection13
    _theirs: Protection12 | Protection13
    _unread: bytes = b""
    """Where it is not yet a record."""
    heard: bytearray = attrs.field(factory=bytearray)
    """The plain text that came."""
    said_by_tls: list[bytes] = attrs.field(factory=list)
    """All other records."""

    def record(self, payload: bytes, kind: int = DATA) -> bytes:
        return self._ours.encrypt(kind, payload)

    def handshake_records(self, message: bytes, count: int) -> bytes:
        """The same message again and again, in a record each."""
        return b"".join(self.record(message, HANDSHAKE) for _ in range(count))

    async def read(self) -> None:
        """Reads some of what has come, or waits for it."""
        self._unread += await self.stream.receive_some()
        while len(self._unread) >= 5:
            end = 5 + int.from_bytes(self._unread[3:5], "big")
            if len(self._unread) < end:
                break
            kind, payload = self._theirs.decrypt(self._unread[:end])
            self._unread = self._unread[end:]
            if kind == DATA:
                self.heard += payload
            else:
                self.said_by_tls.append(payload)


async def _shake_hands(stream: Any, session: ssl.SSLObject, *bios: ssl.MemoryBIO) -> bytes:
    """Returns the first of what the server said, which ServerHello begins."""
    incoming, outgoing = bios
    first = b""
    while True:
        try:
            session.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        said = outgoing.read()
        if session.server_side:
            first = first or said
        await stream.send_all(said)
        if done:
            assert not incoming.pending
            return first
        came = await stream.receive_some()
        if not session.server_side:
            first = first or came
        incoming.write(came)


def _protections(
    session: ssl.SSLObject, log: Path, server_hello: bytes
) -> tuple[Protection12 | Protection13, Protection12 | Protection13]:
    """A client's and a server's."""
    named = session.cipher()
    assert named is not None
    cipher, _, bits = named
    assert "GCM" in cipher
    digest = hashes.SHA384() if cipher.endswith("SHA384") else hashes.SHA256()
    lines = [line.split() for line in log.read_text().splitlines() if line[0] != "#"]
    secrets = {label: bytes.fromhex(secret) for label, _, secret in lines}
    size = bits // 8
    if session.version() == "TLSv1.3":
        client, server = (
            Protection13(secrets[f"{side}_TRAFFIC_SECRET_0"], digest, size)
            for side in ("CLIENT", "SERVER")
        )
        return client, server
    # RFC 5246 section 7.4.1.3: the random bytes of ServerHello, behind two headers and a version
    randoms = server_hello[11:43] + bytes.fromhex(lines[0][1])
    made = expand_master(secrets["CLIENT_RANDOM"], digest, randoms, 2 * size + 8)
    salts = made[2 * size :]
    return Protection12(made[:size], salts[:4]), Protection12(made[size : 2 * size], salts[4:])


@asynccontextmanager
async def attacked(
    role: Role, version: str, log: Path, *, options: int = 0
) -> AsyncIterator[tuple[Any, RawPeer]]:
    """An end of ours in that role, which can write little at once, and its peer, which can much.

    The sockets are of the Unix domain: what one end has written, the other can read at once.
    """
    client_context, server_context = tls_contexts.__wrapped__()
    client_context.set_ciphers("ECDHE+AESGCM")
    server_context.num_tickets = 0
    for context in (client_context, server_context):
        context.maximum_version = getattr(ssl.TLSVersion, version)
        context.options |= options
    ours, theirs = await direct_streams("unix")
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    if role == "server":
        dress = ssl_stream_factory(server_context)
        client_context.keylog_filename = str(log)
        session = client_context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    else:
        dress = ssl_stream_factory(client_context, server_hostname="localhost")
        server_context.keylog_filename = str(log)
        session = server_context.wrap_bio(incoming, outgoing, server_side=True)
    dressed: list[Any] = []

    async def shake_hands() -> None:
        dressed.append(await dress(ours))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake_hands)
        server_hello = await _shake_hands(theirs, session, incoming, outgoing)
    client, server = _protections(session, log, server_hello)
    peer = RawPeer(theirs, *((client, server) if role == "server" else (server, client)))
    [victim] = dressed
    async with victim, theirs:
        yield victim, peer


ANSWER_SIZE = 31
"""No record with one answer is longer."""


@attrs.frozen
class Flood:
    """A message that is answered, and how many records of it are a flood."""

    role: Role
    """Of the end that is flooded."""
    version: str
    message: bytes
    count: int
    answer: bytes


NO_RENEGOTIATION = b"\x01\x64"  # RFC 5246 section 7.2
# By default OpenSSL 3 refuses a client's wish, and follows a server's.
FLOODS = {
    "key updates to a server": Flood("server", "TLSv1_3", KEY_UPDATE_REQUESTED, 4000, KEY_UPDATE),
    "key updates to a client": Flood("client", "TLSv1_3", KEY_UPDATE_REQUESTED, 4000, KEY_UPDATE),
    "client hellos": Flood("server", "TLSv1_2", CLIENT_HELLO, 3000, NO_RENEGOTIATION),
    "hello requests": Flood("client", "TLSv1_2", HELLO_REQUEST, 3000, NO_RENEGOTIATION),
}


@asynccontextmanager
async def attacked_by(flood: Flood, log: Path) -> AsyncIterator[tuple[Any, RawPeer]]:
    options = ssl.OP_NO_RENEGOTIATION
    async with attacked(flood.role, flood.version, log / "secrets", options=options) as pair:
        yield pair


async def read_until_blocked(victim: Any) -> bytes:
    heard = b""
    while not victim.blocked_by_output:
        await victim.wait_readable()
        heard += victim.receive_nowait() or b""
        assert victim.unsent <= MAX_OUTPUT + ANSWER_SIZE
    return heard


@asynccontextmanager
async def blocked(
    log: Path, flood: Flood = FLOODS["hello requests"]
) -> AsyncIterator[tuple[Any, RawPeer]]:
    """After a flood with one message of the peer's behind it, which nobody could read yet."""
    async with attacked_by(flood, log) as (victim, peer):
        said = peer.handshake_records(flood.message, flood.count) + peer.record(b"behind it")
        await peer.stream.send_all(said)
        assert await read_until_blocked(victim) == b""
        yield victim, peer


async def drain(peer: RawPeer) -> None:
    """Reads all that ever comes."""
    while True:
        await peer.read()
