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

from .package import ROOT, importing
from .workloads import BARE, STREAM

OURS = "trio_draftws"
OLD_PEERS = ROOT / "tests" / "peers"
WS = OLD_PEERS / ".installed" / "ws" / "node_modules"


class Missing(Exception):
    """The peer is not installed."""


class NoStart(Exception):
    """Its server did not say where it listens."""


@attrs.frozen
class Peer:
    """One server."""

    name: str
    dialect: str
    command: tuple[str, ...]
    package: str
    tls: bool = True
    """Whether it is measured with TLS too."""
    uvloop: bool = False
    environment: Mapping[str, str] = {}
    checkout: Path = ROOT
    """Whose library it imports, if it is ours."""

    def versions(self) -> str:
        """Of the package, and of what it runs on.

        Raises:
            Missing: something of it is not installed.
        """
        if self.command[0] == sys.executable:
            return ", ".join(
                f"{package} {_python_version(package)}"
                for package in (self.package, *(("uvloop",) if self.uvloop else ()))
            )
        if self.command[0] == "node":
            return _npm_version(self.package)
        return _gem_version(self.package)


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


def _python(
    name: str, script: str, package: str, dialect: str, *options: str, tls: bool = True
) -> Peer:
    command = (sys.executable, "-m", f"benchmarks.servers.{script}", *options)
    return Peer(name, dialect, command, package, tls, "--uvloop" in options)


PEERS = (
    _python(STREAM, "socket_stream", "trio", "bare"),
    _python(BARE, "bare_trio", "trio", "bare", tls=False),
    *(_python(f"{OURS} {mode}", "draftws", OURS, mode, "--mode", mode) for mode in ("old", "new")),
    _python(f"{OURS} rfc6455", "draftws", OURS, "rfc6455"),
    _python("trio-websocket", "trio_websocket", "trio-websocket", "rfc6455"),
    _python("websockets.trio", "websockets_trio", "websockets", "rfc6455"),
    *(
        _python(f"{name}{suffix}", script, name, "rfc6455", *options)
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
        "ws",
        tls=False,
        environment={"NODE_PATH": str(WS)},
    ),
    Peer(
        "em-websocket old",
        "old",
        ("ruby", str(OLD_PEERS / "em_websocket_server.rb")),
        "em-websocket",
        tls=False,
    ),
)


def with_another(peers: Iterable[Peer], checkout: Path) -> Iterator[Peer]:
    """Puts beside each of ours the same one with the library of another checkout."""
    for peer in peers:
        yield peer
        if peer.package == OURS:
            name = f"{peer.name} of {checkout.resolve().name}"
            yield attrs.evolve(peer, name=name, checkout=checkout)


@attrs.frozen
class Running:
    """A server that listens."""

    port: int
    pid: int


@contextmanager
def running(peer: Peer, certificate: str | None) -> Iterator[Running]:
    """Its server, in a process of its own, which ends with the block.

    Args:
        certificate: a file that holds one and its key; serve TLS with it.

    Raises:
        NoStart: it did not begin to listen.
    """
    command = [*peer.command, *(() if certificate is None else ("--certificate", certificate))]
    with importing(peer.checkout) as there, tempfile.TemporaryFile("w+") as complaints:
        server = subprocess.Popen(
            command,
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
                raise NoStart((complaints.read().splitlines() or ["it said nothing"])[-1])
            yield Running(int(line[-1]), server.pid)
        finally:
            server.kill()
            server.wait()
            assert server.stdout is not None
            server.stdout.close()
