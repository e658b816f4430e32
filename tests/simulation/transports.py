"""Two ends of a stream, and what can be seen of an end from outside."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import attrs
import trio
import trio.testing
import trustme

from trio_draftws.testing import Faults, FaultyStream

_DESCRIPTORS = Path("/proc/self/fd")


@lru_cache(maxsize=1)
def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's context that trust each other, for `localhost`."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return client, server


@attrs.frozen(eq=False)
class End:
    """One end of a stream, and how to find out whether it was closed."""

    stream: trio.abc.Stream
    inode: str = ""
    """Which socket it is, whatever object it has become; empty where it is none."""

    @property
    def is_socket(self) -> bool:
        return bool(self.inode)

    async def is_open(self) -> bool:
        """Whether it was never closed."""
        if self.inode:
            return self.inode in open_descriptors().values()
        # Time to get past a checkpoint, which looks for cancellation before anything else
        with trio.move_on_after(0.001):
            try:
                await self.stream.receive_some(1)
            except trio.ClosedResourceError:
                return False
            except (trio.BrokenResourceError, trio.BusyResourceError):
                return True
        return True


def open_descriptors() -> Mapping[int, str]:
    """What each descriptor of this process stands for; nothing where the system does not say."""
    found: dict[int, str] = {}
    if _DESCRIPTORS.is_dir():
        for link in _DESCRIPTORS.iterdir():
            try:
                found[int(link.name)] = str(link.readlink())
            except FileNotFoundError:
                pass  # the one that lists them
    return found


async def open_pair(transport: str) -> tuple[End, End]:
    """A client's and a server's end."""
    if transport == "memory":
        client, server = trio.testing.memory_stream_pair()
        return End(client), End(server)
    if transport == "pieces":
        client, server = trio.testing.memory_stream_pair()
        return End(_in_pieces(client)), End(_in_pieces(server))
    if transport == "lockstep":
        one, other = trio.testing.lockstep_stream_pair()
        return End(one), End(other)
    if transport == "tcp":
        return await _tcp_pair()
    ours, theirs = trio.socket.socketpair()
    return _socket_end(trio.SocketStream(ours)), _socket_end(trio.SocketStream(theirs))


async def _tcp_pair() -> tuple[End, End]:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        client = await trio.open_tcp_stream("127.0.0.1", port)
        return _socket_end(client), _socket_end(await listener.accept())


def _socket_end(stream: trio.SocketStream) -> End:
    link = _DESCRIPTORS / str(stream.socket.fileno())
    return End(stream, str(link.readlink()) if _DESCRIPTORS.is_dir() else "")


def _in_pieces(stream: trio.abc.Stream) -> trio.abc.Stream:
    return FaultyStream(stream, incoming=Faults(split=3000), outgoing=Faults(split=5000))


@attrs.define(eq=False)
class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Accepts the streams that it is given."""

    _coming: trio.MemorySendChannel[trio.abc.Stream] = attrs.field(init=False)
    _here: trio.MemoryReceiveChannel[trio.abc.Stream] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._coming, self._here = trio.open_memory_channel[trio.abc.Stream](100)

    def dial(self, stream: trio.abc.Stream) -> None:
        self._coming.send_nowait(stream)

    async def accept(self) -> trio.abc.Stream:
        try:
            return await self._here.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def aclose(self) -> None:
        self._coming.close()
        self._here.close()
        await trio.lowlevel.checkpoint()
