"""The programs of `examples/migration`: before on trio-websocket, after on this library. Each talks
to the other.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme

from trio_draftws import open_websocket

from .peers.catalogue import SERVERS, Peer, require
from .processes import DEADLINE, read_line, start_program
from .test_examples import environment, program

OLD: Peer = next(peer for peer in SERVERS if peer.name == "trio-websocket")


def migration(name: str, *arguments: str) -> list[str]:
    """The command of a program; that of before runs where trio-websocket is installed."""
    command = program(f"migration/{name}.py", *arguments)
    return [OLD.command[0], *command[1:]] if name.endswith("before") else command


async def outcome(name: str, *arguments: str) -> str:
    """What a client printed."""
    done = await trio.run_process(
        migration(name, "post", *arguments), capture_stdout=True, env=environment()
    )
    return done.stdout.decode()


@pytest.mark.parametrize(("ours", "other"), [("before", "after"), ("after", "before")])
async def test_migration(ours: str, other: str) -> None:
    """Before and after are the same to their users, and to each other's clients."""
    require(OLD)
    process = await trio.lowlevel.open_process(
        migration(ours, "serve", "--port", "0"), stdout=subprocess.PIPE, env=environment()
    )
    try:
        with trio.fail_after(DEADLINE):
            url = (await read_line(process.stdout)).split()[-1]
            assert await outcome(ours, url, "sesame", "one", "two") == (
                "connected: board.v1\none\ntwo\n"
            )
            async with (
                open_websocket(url, draft="rfc6455", headers={"X-Token": "sesame"}) as reader,
                trio.open_nursery() as nursery,
            ):
                seen: dict[str, str] = {}

                async def run(what: str, *arguments: str) -> None:
                    seen[what] = await outcome(ours, *arguments)

                nursery.start_soon(run, "token", url, "simsim")
                nursery.start_soon(run, "path", f"{url}/x", "sesame")
                nursery.start_soon(run, "long", url, "sesame", "x" * 201)
                assert [await reader.receive() for _ in range(2)] == ["one", "two"]
            # How many notes it still hears is a matter of luck before.
            first, *_, last = seen.pop("long").splitlines()
            assert (first, last) == ("connected: board.v1", "closed: 1009")
            assert seen == {
                "token": "refused: 401 Not without the token\n",
                "path": "refused: 404 The board is at /board\n",
            }
            async with open_websocket(
                url, draft="rfc6455", headers={"X-Token": "sesame"}
            ) as reader:
                assert reader.subprotocol is None
                assert await outcome(other, url, "sesame", "three") == (
                    "connected: board.v1\none\ntwo\nthree\n"
                )
                assert [await reader.receive() for _ in range(3)] == ["one", "two", "three"]
            process.terminate()
            assert await process.wait() == 0
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


# What trio-websocket has in its folder of examples: a server that reverses what it is sent, and a
# client for people.


def run(name: str, *arguments: str) -> AbstractAsyncContextManager[trio.Process]:
    return start_program(migration(name, *arguments), env=environment())


@asynccontextmanager
async def reversing(name: str, *arguments: str) -> AsyncGenerator[tuple[trio.Process, str], None]:
    async with run(name, "--port", "0", *arguments) as process:
        yield process, (await read_line(process.stdout)).split()[-1]


async def tell(process: trio.Process, line: str) -> str:
    """Types a line; what is printed then."""
    assert process.stdin is not None
    await process.stdin.send_all(f"{line}\n".encode())
    return await read_line(process.stdout)


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[str, str]:
    """That of a server, with its key, and that of its authority, as files."""
    authority = trustme.CA()
    own, signer = tmp_path / "own.pem", tmp_path / "authority.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
    authority.cert_pem.write_to_path(signer)
    return str(own), str(signer)


@pytest.mark.parametrize("wss", [False, True])
@pytest.mark.parametrize(("server", "client"), [("before", "after"), ("after", "before")])
async def test_each_talks_to_the_other(
    server: str, client: str, wss: bool, certificates: tuple[str, str]
) -> None:
    """Text, pings with a payload, and a close with a reason; over TLS, too."""
    require(OLD)
    own, signer = certificates
    async with (
        reversing(f"reverse_{server}", *(("--certificate", own) if wss else ())) as (_, url),
        run(f"typed_{client}", url, "--heartbeat", *(("--authority", signer) if wss else ())) as it,
    ):
        assert url.startswith("wss:" if wss else "ws:")
        assert await tell(it, "send hello, 漢字") == "message: 字漢 ,olleh\n"
        assert await tell(it, "ping 1 2") == "pong: 1 2\n"
        assert await tell(it, "what?") == "send TEXT | ping TEXT | close [REASON]\n"
        assert (await tell(it, "close bye")).startswith("closed: 1000 ")
        assert await it.wait() == 0
        assert it.stderr is not None
        assert await it.stderr.receive_some() == b""


@pytest.mark.parametrize("client", ["before", "after"])
async def test_the_end_of_a_server_and_of_the_input(client: str) -> None:
    """Ours says that it goes; a client whose input ends closes; one without a server says so."""
    require(OLD)
    async with reversing("reverse_after") as (process, url):
        async with run(f"typed_{client}", url) as it:
            assert it.stdin is not None
            await it.stdin.aclose()
            assert (await read_line(it.stdout)).startswith("closed: 1000 ")
            assert await it.wait() == 0
        async with run(f"typed_{client}", url) as it:
            assert await tell(it, "send a") == "message: a\n"
            process.terminate()
            assert (await read_line(it.stdout)).startswith("closed: 1001 ")
            assert await process.wait() == 0
            assert await it.wait() == 0
    async with run(f"typed_{client}", url) as it:
        assert (await read_line(it.stderr)).startswith("not connected: ")
        assert await it.wait() == 1
