"""The arguments of what listens, accepts, or is served in memory: checked before it does."""

from __future__ import annotations

import errno
import math
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    accept,
    accept_websocket,
    open_reuse_port_listeners,
    open_unix_listener,
    open_websocket,
    serve_websocket,
)
from trio_draftws.testing import (
    MemoryListener,
    connected_pair,
    echo,
    memory_stream_pair,
    served,
    served_on_port,
)

from .cases import (
    BOTH,
    CLIENT_SSL,
    LIMITS,
    Case,
    case,
    each,
    enter,
    generator,
    one,
    one_sync,
    one_yielding,
    two,
    two_sync,
    two_yielding,
)
from .test_client import CLIENT, NOBODY

ACCEPTING = [
    *BOTH,
    case(TypeError, "conn_headers is an async function, not 3", conn_headers=3),
    case(TypeError, "conn_headers is an async function, not ", conn_headers=one_sync),
    case(TypeError, "conn_headers is an async function without `yield`", conn_headers=one_yielding),
    case(TypeError, "conn_headers is an async function without `yield`", conn_headers=generator),
    case(TypeError, "conn_headers is called as conn_headers(request), and", conn_headers=two),
    case(TypeError, "http_handler is an async function, not ", http_handler=one_sync),
    case(TypeError, "http_handler is called as http_handler(request), and", http_handler=two),
    case(TypeError, "http_handler['/a'] is an async function, not ", http_handler={"/a": one_sync}),
    case(
        TypeError,
        "http_handler leads '/a' to what is not an async function or an HTTPResponse: 'x'",
        http_handler={"/a": "x"},
    ),
    case(
        TypeError,
        "drafts is a list of names of drafts, not one str; write ['rfc6455']",
        drafts="rfc6455",
    ),
    case(TypeError, "drafts is a list of names of drafts, not one Draft", drafts=DRAFTS[0]),
    case(
        TypeError,
        "drafts is a list of names of drafts, and 13 in it is no str or Draft",
        drafts=[13],
    ),
    case(TypeError, "drafts is a list of names of drafts, not 13", drafts=13),
    case(TypeError, "framing_mode is a function, not 5", framing_mode=5),
    case(TypeError, "framing_mode is a function that answers at once", framing_mode=one),
    case(TypeError, "framing_mode is called as framing_mode(request)", framing_mode=lambda: "old"),
    case(
        TypeError,
        "origins is a list of origins, not one str; write ['http://a']",
        origins="http://a",
    ),
    case(TypeError, "origins is a list of origins, not 5", origins=5),
    case(
        TypeError,
        "origins is a list of origins, and b'http://a' in it is no str",
        origins=[b"http://a"],
    ),
    # It would let everybody in.
    case(TypeError, "origins is a function that answers at once", origins=one),
    case(TypeError, "origins is a function that answers at once", origins=generator),
    case(TypeError, "origins is called as origins(request)", origins=two_sync),
    case(ValueError, "origins has 'a.example', which no page has", origins=["a.example"]),
    case(ValueError, "no wildcard; write 'https://a.example:80'", origins=[None, "a.example:80"]),
    case(ValueError, "no wildcard; write 'http://a.example'", origins=["http://a.example/"]),
    case(ValueError, "origins has 'http://a/path'", origins=["http://a/path"]),
    case(ValueError, "origins has '*'", origins=["*"]),
    case(ValueError, "origins has 'https://*.example.com'", origins=["https://*.example.com"]),
    case(ValueError, "origins has ''", origins=[""]),
    case(TypeError, "subprotocols is a function that answers at once", subprotocols=one),
    case(TypeError, "subprotocols is called as subprotocols(request)", subprotocols=two_sync),
    case(TypeError, "on_answer is a function, not 5", on_answer=5),
    case(TypeError, "on_answer is a function that answers at once", on_answer=two),
    case(TypeError, "on_answer is called as on_answer(request, answer)", on_answer=one_sync),
    case(
        ValueError,
        "ssl_context is a client's context, and a server needs its own",
        ssl_context=CLIENT_SSL,
    ),
    case(TypeError, "write ['::1']", trusted_proxies="::1"),
    case(ValueError, "write '10.0.0.0/8'", trusted_proxies=["10.0.0.1/8"]),
    case(
        ValueError,
        "trusted_proxies has 'localhost', which is neither an IP address nor a network",
        trusted_proxies=["::1", "localhost"],
    ),
]
SERVER = [
    *ACCEPTING,
    case(TypeError, "handler is an async function, not <function two_sync", handler=two_sync),
    case(TypeError, "handler is an async function without `yield`", handler=two_yielding),
    case(TypeError, "handler is an async function without `yield`", handler=partial(two_yielding)),
    case(TypeError, "handler is called as handler(connection, state), and", handler=one),
    case(TypeError, "handler is called as handler(connection, state), and", handler=lambda: one(1)),
    case(
        TypeError, "handler is called as handler(connection, state), and", handler=partial(two, 1)
    ),
    case(TypeError, "handler['/a'] is an async function, not ", handler={"/a": two_sync}),
    case(TypeError, "handler['/a'] is called as", handler={"/": two, "/a": one}),
    case(TypeError, "port must be a whole number, not '80'", port="80"),
    case(TypeError, "port must be a whole number, not None; 0 picks a free one", port=None),
    case(TypeError, "port must be a whole number, not True", port=True),
    case(TypeError, "port must be a whole number, not 65535.0", port=65535.0),
    case(ValueError, "port must be 0 to 65535, not -1", port=-1),
    # Which would have listened on 4464
    case(ValueError, "port must be 0 to 65535, not 70000", port=70000),
    case(ValueError, "not '127.0.0.1:80'; write host='127.0.0.1', port=80", host="127.0.0.1:80"),
    case(ValueError, "write host='127.0.0.1', port=80", host=b"127.0.0.1:80"),
    case(ValueError, "write host='localhost', port=80", host="localhost:80"),
    case(ValueError, "not '[::1]'; write host='::1'", host="[::1]"),
    case(ValueError, "write host='::1', port=80", host="[::1]:80"),
    case(ValueError, "write host='a.example', port=8080", host="ws://a.example:8080/"),
    case(ValueError, "host is the name or address of an interface alone", host="http://a/b"),
    case(ValueError, "None stands for all interfaces", host=""),
    case(TypeError, "host is the name or address of an interface as a str, not 5", host=5),
    case(TypeError, "backlog must be a whole number, not '4'", backlog="4"),
    case(TypeError, "backlog must be a whole number, not inf", backlog=math.inf),
    case(ValueError, "backlog must be 0 to", backlog=-1),
    case(ValueError, "listeners is empty", listeners=[]),
    case(TypeError, "listeners is a list of listeners, not 5", listeners=5),
    case(
        TypeError, "listeners is a list of listeners, and 'x' in it is no Listener", listeners=["x"]
    ),
    case(TypeError, "handler_nursery is a trio.Nursery, not 5", handler_nursery=5),
    case(
        TypeError, "max_connections must be a number, not NoneType; math.inf", max_connections=None
    ),
    case(TypeError, "max_connections_per_host must be a number", max_connections_per_host="5"),
]


@each(*SERVER)
async def test_serve_websocket(case: Case) -> None:
    arguments = {"handler": two, "port": 0, "host": "127.0.0.1", **case.arguments}
    with case.raises(), trio.fail_after(5):
        await serve_websocket(**arguments)


@each(*ACCEPTING)
async def test_accept_closes_its_stream(case: Case) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    with case.raises():
        await enter(accept(ours, **case.arguments))
    assert await theirs.receive_some() == b""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        with case.raises():
            await accept_websocket(nursery, ours, **case.arguments)
    assert await theirs.receive_some() == b""


@each(
    *(
        case
        for case in SERVER
        if not case.arguments.keys() & {"port", "host", "backlog", "listeners"}
    )
)
async def test_served(case: Case) -> None:
    arguments = {"handler": two, **case.arguments}
    with case.raises():
        await enter(served(**arguments))


@each(*(case for case in SERVER if "port" not in case.arguments))
async def test_served_on_port(case: Case) -> None:
    arguments = {"handler": two, **case.arguments}
    with case.raises():
        await enter(served_on_port(**arguments))


@each(
    case(TypeError, "served listens in memory and has no port", port=80),
    case(TypeError, "served listens in memory and has no backlog", backlog=4),
    case(TypeError, "served listens in memory and has no listeners", listeners=[]),
    case(TypeError, "unexpected keyword argument 'compresion'", compresion=None),
)
async def test_settings_that_served_has_not(case: Case) -> None:
    with case.raises():
        await enter(served(two, **case.arguments))


@each(
    case(TypeError, "buffer must be a whole number, not '10'", buffer="10"),
    case(TypeError, "buffer must be a whole number, not None", buffer=None),
    case(TypeError, "buffer must be a whole number, not 0.5", buffer=0.5),
    case(ValueError, "buffer must be at least 1, not 0", buffer=0),
)
async def test_buffers_of_the_kit(case: Case) -> None:
    for kit in (served, served_on_port, connected_pair):
        with case.raises():
            await enter(kit(**case.arguments))
    for make in (memory_stream_pair, MemoryListener):
        with case.raises():
            make(**case.arguments)


@each(
    case(ValueError, "host is empty", host=""),
    case(ValueError, "write host='a', port=80", host="ws://a:80/"),
    case(TypeError, "host is a str, not None", host=None),
    case(TypeError, "host is a str, not b'127.0.0.1'", host=b"127.0.0.1"),
)
async def test_hosts_of_the_kit(case: Case) -> None:
    for kit in (served, served_on_port):
        with case.raises():
            await enter(kit(**case.arguments))


@each(
    *(
        case
        for case in CLIENT
        if case.arguments.keys() & {"headers", "origin", "url", "subprotocols"}
    ),
    *BOTH[: len(LIMITS)],
    case(TypeError, "conn_headers is an async function, not 3", conn_headers=3),
    case(ValueError, "origins has 'a.example'", origins=["a.example"]),
    case(TypeError, "subprotocols is a list of names", agreed_subprotocols="chat"),
    case(TypeError, "streams is a list of two streams, not 5", streams=5),
    case(TypeError, "streams is a list of two streams, and 1 in it is no Stream", streams=(1, 2)),
    case(ValueError, "streams is the client's end and the server's, not 0", streams=()),
    case(
        ValueError,
        "give connected_pair streams or a buffer, not both",
        streams=memory_stream_pair(),
        buffer=10,
    ),
    case(TypeError, "client is a mapping from settings to values, not 5", client=5),
    case(TypeError, "server is a mapping from settings to values, not []", server=[]),
    case(TypeError, "compression is a Compression", compression=True),
    case(TypeError, "compression is a Compression", client={"compression": True}),
    case(TypeError, "compression is a Compression", server={"compression": True}),
    case(TypeError, "unexpected keyword argument 'compresion'", server={"compresion": None}),
    case(TypeError, "draft is a name or a Draft, not 13", draft=13),
)
async def test_connected_pair(case: Case) -> None:
    with case.raises():
        await enter(connected_pair(**case.arguments))


@pytest.mark.parametrize("given", [None, "stream", socket.socket, trio.open_tcp_stream])
async def test_what_is_no_stream(given: Any) -> None:
    with pytest.raises(TypeError, match=r"stream is a trio\.abc\.Stream, not "):
        await enter(accept(given))
    if given is not None:
        with pytest.raises(TypeError, match=r"stream is a trio\.abc\.Stream, not "):
            await enter(open_websocket(NOBODY, stream=given))


# Where to listen


async def listen_on(port: int, host: str | bytes | None) -> None:
    await serve_websocket(two, port, host=host)


async def listen_shared(port: int, host: str | bytes | None) -> None:
    await open_reuse_port_listeners(port, host=host)


@pytest.mark.parametrize("listen", [listen_on, listen_shared])
async def test_a_port_in_use(listen: Any) -> None:
    """The error names the host and the port, and is what it was else."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        for host, where in (
            ("127.0.0.1", "127.0.0.1 port"),
            (b"127.0.0.1", "127.0.0.1 port"),
            (None, "port"),
        ):
            with pytest.raises(OSError, match=f"cannot listen on {where} {port}: ") as caught:
                await listen(port, host)
            assert caught.value.errno == errno.EADDRINUSE
            assert isinstance(caught.value.__cause__, OSError)


async def test_a_host_that_there_is_not() -> None:
    with pytest.raises(socket.gaierror, match=r"cannot listen on nowhere\.invalid port 0: "):
        await enter(served_on_port(two, host="nowhere.invalid"))


@each(
    case(ValueError, "port must be 0 to 65535, not 65536", port=65536),
    case(ValueError, "write host='127.0.0.1', port=80", host="127.0.0.1:80"),
    case(TypeError, "backlog must be a whole number, not '4'", backlog="4"),
)
async def test_open_reuse_port_listeners(case: Case) -> None:
    arguments = {"port": 0, **case.arguments}
    with case.raises():
        await open_reuse_port_listeners(**arguments)


@each(
    case(TypeError, "mode must be a whole number, not '660'", mode="660"),
    case(ValueError, "mode must be 0 to 4095, not -1", mode=-1),
    case(ValueError, "backlog must be 0 to", backlog=-1),
)
async def test_open_unix_listener(case: Case, tmp_path: Path) -> None:
    place = tmp_path / "socket"
    with case.raises():
        await open_unix_listener(place, **case.arguments)
    assert not await trio.Path(place).exists()


# Origins


async def test_origins_that_are_some() -> None:
    """Whatever a browser sends of a page, a file, an extension, or what has none."""
    origins = [
        "HTTPS://Example.com:8443",
        "null",
        None,
        "file://",
        "moz-extension://a-b",
        "http://[::1]:80",
    ]
    async with served(echo, origins=origins) as server:
        for origin in origins:
            async with server.open_websocket(draft="rfc6455", origin=origin):
                pass
