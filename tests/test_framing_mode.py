"""The framing mode: who inherits it, and when it is read."""

from __future__ import annotations

import contextvars
import logging
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Connection,
    Draft,
    Reject,
    Rejected,
    Request,
    Server,
    accept,
    framing_mode,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import draft_named

from .rows import each_row
from .wire import KEY3, dial, echo, read_to_end, request, serving

OLD, NEW = draft_named("old"), draft_named("new")
NAMES = [name for draft in DRAFTS for name in (draft.name, *draft.aliases)]


def test_old_by_default() -> None:
    assert framing_mode.get() == "old"
    assert isinstance(framing_mode, contextvars.ContextVar)
    assert draft_named(framing_mode.get()).name == "hixie-76"


class TestScope:
    @each_row("name", NAMES)
    def test_every_name_and_alias(self, name: str) -> None:
        with use_framing_mode(name):
            assert framing_mode.get() == name
        assert framing_mode.get() == "old"

    def test_within_each_other(self) -> None:
        with use_framing_mode("new"):
            with use_framing_mode("hixie-75"):
                assert framing_mode.get() == "hixie-75"
            assert framing_mode.get() == "new"
        assert framing_mode.get() == "old"

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_back_after_an_exception(self, error: type[BaseException]) -> None:
        with pytest.raises(error), use_framing_mode("new"):
            raise error
        assert framing_mode.get() == "old"

    async def test_back_after_a_cancellation(self) -> None:
        with trio.CancelScope() as scope, use_framing_mode("new"):
            scope.cancel()
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert framing_mode.get() == "old"

    @pytest.mark.parametrize("name", ["", "OLD", "hixie-77", "new "])
    def test_a_name_that_no_draft_has(self, name: str) -> None:
        with pytest.raises(ValueError, match="no draft is named") as caught:
            use_framing_mode(name).__enter__()
        assert all(known in str(caught.value) for known in NAMES)
        assert framing_mode.get() == "old"

    @pytest.mark.parametrize("name", [76, None, ["old"]])
    def test_what_is_no_name(self, name: Any) -> None:
        with pytest.raises(TypeError, match="draft is a name or a Draft, not"):
            use_framing_mode(name).__enter__()
        assert framing_mode.get() == "old"


class TestInheritance:
    async def test_by_tasks_from_where_they_are_spawned(self) -> None:
        seen: list[str] = []

        async def look() -> None:
            await trio.lowlevel.checkpoint()
            seen.append(framing_mode.get())

        async with trio.open_nursery() as nursery:
            with use_framing_mode("new"):
                nursery.start_soon(look)
            nursery.start_soon(look)
        assert sorted(seen) == ["new", "old"]

    async def test_of_a_task_that_sets_its_own_nobody_else_hears(self) -> None:
        is_set = trio.Event()
        seen: list[str] = []

        async def set_it() -> None:
            framing_mode.set("new")
            is_set.set()

        async def look() -> None:
            await is_set.wait()
            seen.append(framing_mode.get())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(set_it)
            nursery.start_soon(look)
        assert seen == [framing_mode.get()] == ["old"]

    @pytest.mark.parametrize("elsewhere", [False, True], ids=["own", "handler_nursery"])
    async def test_by_handlers_from_where_the_server_was_called(self, elsewhere: bool) -> None:
        """Not from where the server's, or their own, nursery was opened, nor from the client."""
        seen: list[tuple[str, Draft]] = []

        async def conn_headers(asked: Request) -> tuple[dict[str, str], str]:
            return {}, framing_mode.get()

        async def handler(connection: Connection, state: str) -> None:
            assert framing_mode.get() == state
            seen.append((state, connection.draft))
            await echo(connection)

        async with trio.open_nursery() as handlers, trio.open_nursery() as nursery:
            serve = partial(
                serve_websocket,
                handler,
                0,
                host="127.0.0.1",
                conn_headers=conn_headers,
                handler_nursery=handlers if elsewhere else None,
            )
            with use_framing_mode("new"):
                server: Server = await nursery.start(serve)
            with use_framing_mode("old"):
                async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft="new") as client:
                    await client.send("hello")
                    assert await client.receive() == "hello"
            await server.aclose()
        assert seen == [("new", NEW)]

    async def test_two_servers_with_modes_of_their_own(self) -> None:
        with use_framing_mode("old"):
            async with serving() as old:
                with use_framing_mode("new"):
                    async with serving() as new:
                        for server, draft in ((old, "old"), (new, "new"), (old, "old")):
                            url = f"ws://127.0.0.1:{server.port}/"
                            async with open_websocket(url, draft=draft) as client:
                                await client.send("hello")
                                assert await client.receive() == "hello"


class TestReadOnce:
    async def test_a_change_in_mid_connection_changes_nothing(self) -> None:
        """Neither on the client, nor in the handler, nor where the server was started."""

        async def handler(connection: Connection, state: object) -> None:
            async for message in connection:
                framing_mode.set("hixie-75")
                await connection.send(message)
            assert connection.draft is NEW

        with use_framing_mode("new"):
            async with serving(handler) as server:
                async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                    for mode in ("old", "hixie-75", "new", "old"):
                        framing_mode.set(mode)
                        await client.send(mode)
                        assert await client.receive() == mode
                    assert client.draft is NEW
                    await client.aclose()
                    assert client.close_received is not None
                # A later connection to the same server is spoken to in the server's mode.
                async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft="new") as client:
                    await client.send("still")
                    assert await client.receive() == "still"

    async def test_accept_reads_it_when_it_is_entered(self) -> None:
        client, stream = trio.testing.memory_stream_pair()
        await client.send_all(request() + KEY3 + b"\xff" + b"\0\0\0\0\0\0\0\x05hello" + bytes(9))
        with use_framing_mode("old"):
            accepted = accept(stream)
        with use_framing_mode("new"):
            connection = await accepted.__aenter__()
        assert connection.draft is NEW
        assert await connection.receive() == "hello"
        await client.send_eof()
        await accepted.__aexit__(None, None, None)

    async def test_a_mode_that_no_draft_has(self) -> None:
        """Set past `use_framing_mode`, it shows where a connection would open."""
        _, stream = trio.testing.memory_stream_pair()
        token = framing_mode.set("hixie-77")
        for opens in (open_websocket("ws://127.0.0.1:9/"), accept(stream), serving()):
            with pytest.raises(ValueError, match="no draft is named 'hixie-77'; there are: "):
                async with opens:
                    raise AssertionError("there is nothing to enter")
        framing_mode.reset(token)


class TestWhatItDecides:
    """On a server, only what the request leaves open."""

    CHOSEN = (
        # mode, drafts that are spoken, what a request with two keys is taken for
        ("old", None, OLD),
        ("new", None, NEW),
        ("hixie-75", None, OLD),
        ("new", ["hixie-75", "hixie-76"], OLD),
        ("old", ["whatwg-2010-08"], NEW),
    )

    @pytest.mark.parametrize(("mode", "drafts", "taken_for"), CHOSEN)
    async def test_two_keys(self, mode: str, drafts: list[str] | None, taken_for: Draft) -> None:
        with use_framing_mode(mode):
            async with serving(drafts=drafts) as server:
                async with open_websocket(
                    f"ws://127.0.0.1:{server.port}/", draft=taken_for
                ) as client:
                    await client.send("hello")
                    assert await client.receive() == "hello"

    @each_row("mode", NAMES)
    async def test_hixie_75_and_a_draft_of_0_name_themselves(self, mode: str) -> None:
        with use_framing_mode(mode):
            async with serving() as server:
                async with open_websocket(
                    f"ws://127.0.0.1:{server.port}/", draft="hixie-75"
                ) as client:
                    await client.send("hello")
                    assert await client.receive() == "hello"
                async with await dial(server) as stream:
                    asked = request(Sec_WebSocket_Draft="0")
                    await stream.send_all(asked + KEY3 + b"\x00hello\xff\xff\x00")
                    assert (await read_to_end(stream)).endswith(b"\x00hello\xff\xff\x00")


class TestSelector:
    """A server's function that names the mode, request by request."""

    ALIKE = ("hixie-76", "whatwg-2010-08", "hybi-01")

    async def test_one_mode_for_each_path(self) -> None:
        """It is asked for what looks the same in several drafts, and for nothing else."""
        asked: list[tuple[str, Draft | None]] = []

        def by_path(request: Request) -> str:
            asked.append((request.path, request.draft))
            return request.path.removeprefix("/")

        # Under another mode, so that the word is the function's and not the variable's
        with use_framing_mode("hixie-75"):
            async with serving(framing_mode=by_path) as server:
                for draft in DRAFTS:
                    url = f"ws://127.0.0.1:{server.port}/{draft.name}"
                    async with open_websocket(url, draft=draft, origin="http://a") as client:
                        await client.send("hello")
                        assert await client.receive() == "hello"
                        assert [one.draft for one in server.connections] == [draft]
        assert asked == [(f"/{name}", None) for name in self.ALIKE]

    async def test_conn_headers_sees_the_draft_that_was_chosen(self) -> None:
        seen: list[Draft | None] = []

        async def conn_headers(asked: Request) -> tuple[dict[str, str], None]:
            seen.append(asked.draft)
            return {}, None

        async with serving(framing_mode=lambda request: "new", conn_headers=conn_headers) as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft="new"):
                pass
        assert seen == [NEW]

    @pytest.mark.parametrize("name", ["hixie-75", "hybi-02", "rfc6455"])
    async def test_a_draft_that_the_request_cannot_be(self, name: str) -> None:
        """As under such a mode: it is taken for hixie-76."""
        async with serving(framing_mode=lambda request: name) as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft=OLD) as client:
                await client.send("hello")
                assert await client.receive() == "hello"

    @pytest.mark.parametrize("name", ["hybi-08", "hybi-11"])
    async def test_version_8_without_an_origin(self, name: str) -> None:
        """Two drafts, told apart by the field that names it."""
        async with serving(framing_mode=lambda request: name) as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft="hybi-08") as client:
                await client.send("hello")
                assert await client.receive() == "hello"
                assert [one.draft.name for one in server.connections] == [name]

    async def test_it_may_refuse(self) -> None:
        def refuse(request: Request) -> str:
            raise Reject(404, body="no such path")

        async with serving(framing_mode=refuse) as server:
            with pytest.raises(Rejected, match="status 404: 'no such path'"):
                async with open_websocket(f"ws://127.0.0.1:{server.port}/"):
                    raise AssertionError("there is no connection")

    @pytest.mark.parametrize(
        ("table", "why"),
        [({}, "KeyError: '/'"), ({"/": "hixie-77"}, "no draft is named 'hixie-77'")],
        ids=["it raises", "no draft has that name"],
    )
    async def test_its_mistakes(
        self, table: dict[str, str], why: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The client hears of one, the log has it all, and others are not touched."""
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with serving(framing_mode=lambda request: table[request.path]) as server:
                url = f"ws://127.0.0.1:{server.port}/"
                async with open_websocket(url, draft="rfc6455") as other:
                    with pytest.raises(Rejected, match="status 500: 'The server made a mistake"):
                        async with open_websocket(url):
                            raise AssertionError("there is no connection")
                    await other.send("hello")
                    assert await other.receive() == "hello"
        [record] = caplog.records
        assert record.levelno == logging.ERROR
        assert why in caplog.text

    async def test_a_name_is_no_function(self) -> None:
        with pytest.raises(TypeError, match=r"write `with use_framing_mode\('new'\)`"):
            await serve_websocket(echo, 0, framing_mode="new")  # type: ignore[arg-type]
