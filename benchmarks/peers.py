"""The peers: what each speaks, how its server is started, and whether it is installed."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from .command import last_words
from .package import ROOT, importing
from .workloads import BARE, OURS, RFC6455, STREAM, Workload

OLD_PEERS = ROOT / "tests" / "peers"
WS = OLD_PEERS / ".installed" / "ws" / "node_modules"


class Missing(Exception):
    """The peer is not installed."""


class NoStart(Exception):
    """Its server did not say where it listens."""


@attrs.frozen
class Peer:
    """One server, and perhaps a client of the same library."""

    name: str
    dialect: str
    command: tuple[str, ...]
    """Starts its server."""
    packages: tuple[str, ...]
    can: frozenset[str]
    """What it can be asked to do: those of `Workload.needs`."""
    client: tuple[str, ...] = ()
    """Starts its client."""
    environment: Mapping[str, str] = {}
    checkout: Path = ROOT
    """Whose library it imports, if it is ours."""

    def takes(self, workload: Workload) -> bool:
        """Whether it is measured under that."""
        return workload.needs <= self.can

    def versions(self) -> str:
        """Of its packages, and of what it runs on.

        Raises:
            Missing: something of it is not installed.
        """
        if self.command[0] == sys.executable:
            return ", ".join(f"{name} {_python_version(name)}" for name in self.packages)
        (package,) = self.packages
        return _npm_version(package) if self.command[0] == "node" else _gem_version(package)


def _python_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise Missing(f"{package} is not installed here") from None


def _npm_version(package: str) -> str:
    description = WS / package / "package.json"
    if shutil.which("node") is None or not description.exists():
        raise Missing("tests/peers/install installs it")
    version = json.loads(description.read_text("utf-8"))["version"]
    return f"{package} {version}, Node {_said('node', '--version').lstrip('v')}"


def _gem_version(package: str) -> str:
    script = f'puts Gem::Specification.find_by_name("{package}").version, RUBY_VERSION'
    try:
        version, ruby = _said("ruby", "-e", script).split()
    except (OSError, subprocess.CalledProcessError):
        raise Missing("tests/peers/install installs it") from None
    return f"{package} {version}, Ruby {ruby}"


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


# Packages that a server runs on, by the option that asks for them
EXTRAS = {"--uvloop": "uvloop", "isal": "isal"}
# What `Workload.needs` may name
ECHO = ("echo", "handshakes")
ALL = (*ECHO, "tls", "binary", "deflate", "broadcast", "client")


def _python(
    name: str, script: str, package: str, dialect: str, can: Iterable[str], *options: str
) -> Peer:
    """One with a server in `servers/`, and with a client of the same name if it has one."""
    packages = (package, *(EXTRAS[option] for option in options if option in EXTRAS))
    can = frozenset(can)
    client: tuple[str, ...] = ()
    if "client" in can:
        client = (sys.executable, "-m", f"benchmarks.clients.{script}", *options)
    server = (sys.executable, "-m", f"benchmarks.servers.{script}", *options)
    return Peer(name, dialect, server, packages, can, client)


PEERS = (
    _python(STREAM, "socket_stream", "trio", "bare", (*ECHO, "tls", "binary")),
    _python(BARE, "bare_trio", "trio", "bare", (*ECHO, "binary", "broadcast", "client")),
    _python("bare opening", "bare_opening", "trio", "rfc6455", ("handshakes",)),
    *(
        _python(
            f"{OURS} {mode}", "draftws", OURS, mode, (*ECHO, "tls", "broadcast"), "--mode", mode
        )
        for mode in ("old", "new")
    ),
    _python(RFC6455, "draftws", OURS, "rfc6455", ALL),
    _python(f"{OURS} isal", "draftws", OURS, "rfc6455", ("deflate",), "--backend", "isal"),
    _python("trio-websocket", "trio_websocket", "trio-websocket", "rfc6455", ALL),
    _python("websockets.trio", "websockets_trio", "websockets", "rfc6455", ALL),
    *(
        _python(f"{name}{suffix}", script, name, "rfc6455", ALL, *options)
        for name, script in (
            ("websockets", "websockets_asyncio"),
            ("aiohttp", "aiohttp"),
            ("picows", "picows"),
        )
        for suffix, options in (("", ()), (" + uvloop", ("--uvloop",)))
    ),
    Peer(
        "npm ws old",
        "old",
        (
            *("node", "--no-deprecation", "-r", str(OLD_PEERS / "node_shim.js")),
            str(OLD_PEERS / "ws_server.js"),
        ),
        ("ws",),
        frozenset(ECHO),
        environment={"NODE_PATH": str(WS)},
    ),
    Peer(
        "em-websocket old",
        "old",
        ("ruby", str(OLD_PEERS / "em_websocket_server.rb")),
        ("em-websocket",),
        frozenset(ECHO),
    ),
)


def with_another(peers: Iterable[Peer], checkout: Path) -> Iterator[Peer]:
    """The peers, each of ours followed by the same one with another checkout's library."""
    for peer in peers:
        yield peer
        if OURS in peer.packages:
            yield attrs.evolve(peer, name=name_of(peer.name, checkout), checkout=checkout)


def name_of(peer: str, checkout: Path) -> str:
    """The name of one of our peers when it uses another checkout's library."""
    return f"{peer} of {checkout.resolve().name}"


@attrs.frozen
class Running:
    """A server that listens."""

    port: int
    pid: int


@contextmanager
def running(peer: Peer, *options: str) -> Iterator[Running]:
    """Its server, in a process of its own, which ends with the block.

    Args:
        options: those of `servers.common` that a workload needs.

    Raises:
        NoStart: it did not begin to listen.
    """
    with importing(peer.checkout) as there, tempfile.TemporaryFile("w+") as complaints:
        server = subprocess.Popen(
            [*peer.command, *options],
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            cwd=there.cwd,
            env={**there.env, **peer.environment},
        )
        try:
            assert server.stdout is not None
            line = server.stdout.readline().split()
            if not line:
                complaints.seek(0)
                raise NoStart(last_words(complaints.read()))
            yield Running(int(line[-1]), server.pid)
        finally:
            server.kill()
            server.wait()
            assert server.stdout is not None
            server.stdout.close()
