"""Tools for testing programs that use `trio_draftws`.

Everything is deterministic: faults happen at given byte positions, never at random, and the only
clock is Trio's. `trio_draftws.testing.fixtures` has fixtures for pytest.
"""

import warnings
from typing import TYPE_CHECKING

from trio_draftws._connection.settings import ConnectionSettings
from trio_draftws.drafts import Fragment, Ping, Pong

from ._faulty_stream import Faults, FaultyStream
from ._frame import frame
from ._memory import MemoryListener, MemoryStream, memory_stream_pair
from ._pair import connected_pair
from ._raw import RawClient, RawServer, serve_raw
from ._raw_peer import RawPeer
from ._served import ServerUnderTest, echo, served, served_on_port

__all__ = [
    "Faults",
    "FaultyStream",
    "Fragment",
    "MemoryListener",
    "MemoryStream",
    "Ping",
    "Pong",
    "RawClient",
    "RawPeer",
    "RawServer",
    "ServerUnderTest",
    "connected_pair",
    "echo",
    "frame",
    "memory_stream_pair",
    "serve_raw",
    "served",
    "served_on_port",
]


if TYPE_CHECKING:
    Settings = ConnectionSettings
    """The old name of `trio_draftws.ConnectionSettings`."""
else:

    def __getattr__(name: str) -> object:
        """Returns what has a new name under its old one, with a warning."""
        if name == "Settings":
            warnings.warn(
                "trio_draftws.testing.Settings is deprecated: use trio_draftws.ConnectionSettings",
                DeprecationWarning,
                stacklevel=2,
            )
            return ConnectionSettings
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
