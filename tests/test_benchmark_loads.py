"""Every workload of the benchmarks does what it says, and tells who does not answer it."""

from __future__ import annotations

import json
import math
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import attrs
import pytest
import trustme

from benchmarks import client_load, deflated, dial, turns
from benchmarks.codec_works import named
from benchmarks.load import EXERCISES
from benchmarks.package import ROOT
from benchmarks.peers import PEERS, Peer, Running, running
from benchmarks.task import Failed, Task
from benchmarks.turns import measure, options_for
from benchmarks.wire import BINARY_DIALECTS, DIALECTS, payload_of, text, with_mask
from benchmarks.workloads import BARE, RFC6455, WORKLOADS, Workload
from trio_draftws import Close

from .rows import each_row


def peer(name: str) -> Peer:
    return next(peer for peer in PEERS if peer.name == name)


def workload(name: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.name == name)


# Every workload, for a moment

Start = Callable[[str, Workload], Running]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a server for a workload, or finds one that was started for another like it."""
    certificate = tmp_path_factory.mktemp("benchmarks") / "certificate.pem"
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    servers: dict[tuple[str, ...], Running] = {}

    def start(name: str, workload: Workload) -> Running:
        options = options_for(workload, str(certificate))
        like_it = (name, *options)
        if like_it not in servers:
            servers[like_it] = stack.enter_context(running(peer(name), *options))
        return servers[like_it]

    with ExitStack() as stack:
        yield start


def task(server: Running, dialect: str, workload: Workload) -> Task:
    """A quick one, as short as it can be."""
    asked = {**workload.task(True), "warm_up": 0, "seconds": 0}
    return Task(port=server.port, pid=server.pid, dialect=dialect, **asked)


OF_SERVERS = [workload for workload in WORKLOADS if "client" not in workload.needs]
OF_CLIENTS = [workload for workload in WORKLOADS if "client" in workload.needs]


@pytest.mark.parametrize("workload", OF_SERVERS, ids=lambda workload: workload.name)
def test_a_workload_of_servers(start: Start, workload: Workload) -> None:
    """Those of ours and the bare ones do what is asked; the load checks what they send."""
    for name in (RFC6455, BARE, "bare opening"):
        if peer(name).takes(workload):
            asked = task(start(name, workload), peer(name).dialect, workload)
            sample = EXERCISES[workload.exercise](asked)
            assert sample.count > 0
            assert sample.seconds > 0
            # So little work may take less than a tick of the system's clock; the memory of so few
            # connections may not grow.
            assert sample.cost >= 0 or workload.exercise == "memory"
            if workload.exercise == "deflated":
                assert sample.sent is not None
                assert sample.sent < workload.size / 2


@pytest.mark.parametrize("workload", OF_CLIENTS, ids=lambda workload: workload.name)
@pytest.mark.parametrize("name", [RFC6455, BARE])
def test_a_workload_of_clients(name: str, workload: Workload) -> None:
    assert peer(name).takes(workload)
    sample = measure(peer(name), workload, True, "")
    assert sample.count > 0
    assert sample.cost >= 0


def test_the_proof_of_a_bare_opening(start: Start) -> None:
    """It is that of the example in RFC 6455 section 1.3."""
    server = start("bare opening", workload("handshakes"))
    dialect = DIALECTS["rfc6455"]
    with dial.connected(task(server, "rfc6455", workload("handshakes"))) as sock:
        head = dial.shake_hands(sock, dialect)
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        sock.sendall(dialect.close)
        assert sock.recv(100) == b"\x88\x02\x03\xe8"
        assert sock.recv(100) == b""


def test_a_client_that_fails_is_told() -> None:
    lame = attrs.evolve(peer(BARE), client=(sys.executable, "-c", "raise SystemExit('no')"))
    with pytest.raises(turns.Failed, match="the client ended: no"):
        measure(lame, workload("client-1"), True, "")


def test_a_client_that_says_something_else_is_told() -> None:
    client = "import benchmarks.wire as w; w.text = w.two_byte_text; import runpy; "
    client += "runpy.run_module('benchmarks.clients.bare_trio', run_name='__main__')"
    lame = attrs.evolve(peer(BARE), client=(sys.executable, "-c", client))
    with pytest.raises(turns.Failed, match="the client sent"):
        measure(lame, workload("client-1"), True, "")


@pytest.mark.parametrize(
    ("program", "timeout", "told"),
    [
        ("raw.dial(int(sys.argv[2])).recv(1)", 3, "the client sends nothing"),
        ("raw.dial(int(sys.argv[2])).close(); time.sleep(60)", 30, "the client ended a connection"),
        ("time.sleep(60)", 0.4, "the client does not connect"),
    ],
)
def test_a_client_that_does_nothing_is_told(
    program: str, timeout: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_load, "TIMEOUT", timeout)
    program = f"import sys, time; from benchmarks import raw; {program}"
    client = (sys.executable, "-c", program)
    asked = Task("rfc6455", "client_echo", client=client, cwd=str(ROOT))
    with pytest.raises(Failed, match=told):
        EXERCISES["client_echo"](asked)


@pytest.mark.parametrize("name", ["json-1-kib", "json-64-kib"])
def test_a_server_that_does_not_compress_is_told(start: Start, name: str) -> None:
    plain = start(RFC6455, workload("ping-pong-1"))
    with pytest.raises(Failed, match="it does not negotiate permessage-deflate"):
        EXERCISES["deflated"](task(plain, "rfc6455", workload(name)))


def test_a_server_that_tells_only_one_is_told(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    echoing = start(BARE, workload("ping-pong-1"))
    monkeypatch.setattr(dial, "TIMEOUT", 0.2)
    with pytest.raises(TimeoutError):
        EXERCISES["broadcast"](task(echoing, "bare", workload("broadcast-32")))


# What is compressed


@pytest.mark.parametrize("size", [1024, 65_536])
def test_documents(size: int) -> None:
    """Each is JSON of so many bytes, and they are not the same."""
    documents = deflated.documents(size)
    assert [len(document) for document in documents] == [size] * len(documents)
    assert len(set(documents)) == len(documents)
    assert sum(map(len, documents)) >= 2 * deflated.WINDOW
    for document in documents:
        assert json.loads(document)["orders"]


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bits", [9, 15])
@pytest.mark.parametrize("size", [1024, 65_536])
def test_compressed_messages_can_be_sent_for_ever(takeover: bool, bits: int, size: int) -> None:
    payloads = deflated.documents(size)
    first, ever = deflated.frames(payloads, deflated.ServerOptions(takeover, True, bits))
    inflater = zlib.decompressobj(wbits=-bits)
    for wire, payload in zip(first + 2 * ever, 3 * payloads, strict=True):
        # FIN, RSV1, and text
        assert wire[0] == 0xC1
        start = {126: 4, 127: 10}.get(wire[1] & 0x7F, 2)
        data = with_mask(wire[start + 4 :], wire[start : start + 4])
        if not takeover:
            inflater = zlib.decompressobj(wbits=-bits)
        assert inflater.decompress(data + deflated.TAIL) == payload
        assert len(data) < size / 2


@pytest.mark.parametrize(
    ("value", "terms"),
    [
        ("permessage-deflate", deflated.ServerOptions()),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=12",
            deflated.ServerOptions(server_takeover=False, client_bits=12),
        ),
        (
            'permessage-deflate;client_no_context_takeover;client_max_window_bits="9"',
            deflated.ServerOptions(client_takeover=False, client_bits=9),
        ),
    ],
)
def test_terms(value: str, terms: deflated.ServerOptions) -> None:
    head = f"HTTP/1.1 101 Yes\r\nsec-websocket-extensions:{value}\r\nServer: x".encode()
    assert deflated.terms_of(head) == terms


@pytest.mark.parametrize("field", ["", "\r\nSec-WebSocket-Extensions: x-webkit-deflate-frame"])
def test_no_terms(field: str) -> None:
    with pytest.raises(Failed, match="does not negotiate"):
        deflated.terms_of(f"HTTP/1.1 101 Yes{field}".encode())


# What the load generator sends


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "bare"])
@each_row("size", [32, 125, 126, 65_535, 65_536])
def test_prepared_bytes_are_messages(name: str, size: int) -> None:
    dialect, draft = DIALECTS[name], named(name)
    message = text(size).decode("ascii")
    assert len(message) == size
    server = draft.codec("server", math.inf)
    assert server.decode(dialect.frame(message.encode())) == [message]
    assert b"".join(server.encode(message)) == dialect.echo(message.encode())
    (close,) = server.decode(dialect.close)
    assert isinstance(close, Close)
    assert close.code in (None, 1000)


@pytest.mark.parametrize("size", [32, 65_536])
def test_prepared_binary_messages(size: int) -> None:
    dialect, data = BINARY_DIALECTS["rfc6455"], payload_of("binary", size)
    server = named("rfc6455").codec("server", math.inf)
    assert len(data) == size
    assert server.decode(dialect.frame(data)) == [data]
    assert b"".join(server.encode(data)) == dialect.echo(data)


def test_two_byte_text() -> None:
    assert payload_of("two-byte", 32).decode() == "ä" * 16
