"""What programs that use `trio_draftws` need to test themselves.

Nothing here looks at chance, or at another clock than Trio's: what is to go wrong is said
beforehand, in bytes. `fixtures` has some of it as fixtures of pytest.
"""

from trio_draftws.drafts import Fragment, Ping, Pong

from ._faulty_stream import Faults, FaultyStream
from ._frame import frame
from ._pair import connected_pair
from ._raw import RawClient, RawServer, serve_raw
from ._raw_peer import RawPeer
from ._served import ServerUnderTest, echo, served, served_on_port

__all__ = [
    "Faults",
    "FaultyStream",
    "Fragment",
    "Ping",
    "Pong",
    "RawClient",
    "RawPeer",
    "RawServer",
    "ServerUnderTest",
    "connected_pair",
    "echo",
    "frame",
    "serve_raw",
    "served",
    "served_on_port",
]
