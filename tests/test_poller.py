"""What waits for many: the epoll that the connections of one scope share, a watch, and timers."""

from __future__ import annotations

import errno
import itertools
import os
import select
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    Close,
    Connection,
    ConnectionLost,
    Draft,
    PeerClosed,
    open_websocket,
    ssl_stream_factory,
)

# Each is tested by itself: a connection cannot be seen to wait in the epoll; who puts off what, and
# whose descriptor was closed by somebody else, happens beneath one too seldom.
from trio_draftws._connection import poller as poller_module
from trio_draftws._connection import watch as watch_module
from trio_draftws._connection.poller import (
    FEWEST_AT_ONCE,
    MOST_AT_ONCE,
    TIMES_ASKED,
    WAITS_BETWEEN_TRIALS,
    WAITS_FOR_EACH,
    SharedPoller,
)
from trio_draftws._connection.receiver import Owner
from trio_draftws._connection.timers import FEW, Timers
from trio_draftws._connection.watch import Watch
from trio_draftws._transport.kqueue import READABLE
from trio_draftws.drafts import Ping, Pong
from trio_draftws.testing import served_on_port

from .drafts.heads import PLAIN
from .pairs import by_raw_client, frames
from .turns import each_draft, in_turn
from .wire import dial, masked, read_until, serving

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="needs an epoll")

MANY = 64


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has whoever waits in a scope for many wait in its epoll, also where that does not pay."""
    monkeypatch.setattr(poller_module, "FEWEST_AT_ONCE", 0)
    start = SharedPoller.__init__

    def started(poller: SharedPoller, *args: Any, **kwargs: Any) -> None:
        start(poller, *args, **{**kwargs, "waits_to_trial": 1})

    monkeypatch.setattr(SharedPoller, "__init__", started)


class Pairs:
    """Sockets of which one end is waited for, and the other may send."""

    def __init__(self, count: int) -> None:
        self.pairs = [socket.socketpair() for _ in range(count)]
        for ours, _ in self.pairs:
            ours.setblocking(False)

    def __iter__(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        return iter(self.pairs)

    def close(self) -> None:
        for ours, theirs in self.pairs:
            ours.close()
            theirs.close()


@asynccontextmanager
async def shared(count: int = 1, **fields: Any) -> AsyncIterator[tuple[SharedPoller, Pairs]]:
    """A poller that tries its epoll at once, and sockets to wait for."""
    pairs = Pairs(count)
    try:
        async with trio.open_nursery() as nursery:
            fields = {"waits_to_trial": 1, **fields}
            yield SharedPoller(nursery, lambda: MANY, **fields), pairs
            nursery.cancel_scope.cancel()
    finally:
        pairs.close()


class Waiters:
    """Tasks that each wait once, and what became of each."""

    def __init__(self, nursery: trio.Nursery, poller: SharedPoller) -> None:
        self.nursery = nursery
        self.poller = poller
        self.came: dict[int, str] = {}

    async def begin(self, *sockets: socket.socket) -> None:
        for waited in sockets:
            self.nursery.start_soon(self._wait, waited.fileno())
        await trio.testing.wait_all_tasks_blocked()

    @trio.lowlevel.enable_ki_protection
    async def _wait(self, fileno: int) -> None:
        try:
            await self.poller.wait_readable(fileno)
        except (trio.ClosedResourceError, trio.BusyResourceError, OSError) as error:
            self.came[fileno] = type(error).__name__
        else:
            self.came[fileno] = "readable"


@asynccontextmanager
async def waiters(poller: SharedPoller) -> AsyncIterator[Waiters]:
    async with trio.open_nursery() as nursery:
        yield Waiters(nursery, poller)
        nursery.cancel_scope.cancel()


class TestWaiting:
    async def test_who_has_something_is_woken_and_nobody_else(self) -> None:
        async with shared(3) as (poller, pairs), waiters(poller) as waiting:
            (one, to_one), (two, _), (three, to_three) = pairs
            await waiting.begin(one, two, three)
            assert len(poller._waiting) == 3
            to_one.send(b"x")
            to_three.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came == {one.fileno(): "readable", three.fileno(): "readable"}
            assert list(poller._waiting) == [two.fileno()]

    async def test_what_is_there_when_a_deadline_passes_comes_first(self) -> None:
        """As with Trio's own wait; others who have something are woken with it."""
        async with shared(2) as (poller, pairs), waiters(poller) as waiting:
            (one, to_one), (two, to_two) = pairs
            await waiting.begin(two)
            came = False

            async def wait() -> None:
                nonlocal came
                with scope:
                    await waiting._wait(one.fileno())
                    came = True

            scope = trio.CancelScope()
            waiting.nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            to_one.send(b"x")
            to_two.send(b"x")
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert came
            assert waiting.came == {one.fileno(): "readable", two.fileno(): "readable"}

    async def test_what_came_before_the_wait_ends_it(self) -> None:
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, theirs)] = pairs
            theirs.send(b"x")
            for _ in range(3):
                # It was not read, so it is still there.
                waiting.came.clear()
                await waiting.begin(ours)
                assert waiting.came == {ours.fileno(): "readable"}

    async def test_who_is_cancelled_is_not_woken(self) -> None:
        async with shared() as (poller, pairs):
            [(ours, theirs)] = pairs
            async with waiters(poller) as waiting:
                await waiting.begin(ours)
                waiting.nursery.cancel_scope.cancel()
            assert not poller._waiting
            theirs.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            async with waiters(poller) as waiting:
                await waiting.begin(ours)
                assert waiting.came == {ours.fileno(): "readable"}

    async def test_many_more_than_are_woken_at_once(self) -> None:
        count = MOST_AT_ONCE + 50
        async with shared(count) as (poller, pairs), waiters(poller) as waiting:
            await waiting.begin(*[ours for ours, _ in pairs])
            for _, theirs in pairs:
                theirs.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            assert len(waiting.came) == count

    async def test_nothing_is_asked_while_nobody_waits(self) -> None:
        """What comes meanwhile is told once at most, and read by whoever receives next."""
        async with shared() as (poller, pairs):
            [(ours, theirs)] = pairs
            async with waiters(poller) as waiting:
                await waiting.begin(ours)
                theirs.send(b"x")
                await trio.testing.wait_all_tasks_blocked()
            assert poller._times_asked == 1
            for _ in range(5):
                theirs.send(b"x")
                await trio.testing.wait_all_tasks_blocked()
            assert poller._times_asked == 1
            assert ours.recv(10) == b"x" * 6

    async def test_the_end_of_the_scope(self) -> None:
        """Whoever still waits looks again, and waits through Trio."""
        async with shared() as (poller, pairs), trio.open_nursery() as others:
            [(ours, _)] = pairs
            waiting = Waiters(others, poller)
            await waiting.begin(ours)
            poller._nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
            assert ours.fileno() not in poller._waiting


class TestClosing:
    async def test_who_waits_is_told(self) -> None:
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, _)] = pairs
            await waiting.begin(ours)
            poller.notify_closing(ours)
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came == {ours.fileno(): "ClosedResourceError"}
            assert not poller._known

    async def test_who_waits_through_trio_is_told(self) -> None:
        async with shared(waits_to_trial=-1) as (poller, pairs), waiters(poller) as waiting:
            [(ours, _)] = pairs
            await waiting.begin(ours)
            poller.notify_closing(ours)
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came == {ours.fileno(): "ClosedResourceError"}

    async def test_a_number_that_comes_back(self) -> None:
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, _)] = pairs
            number = ours.fileno()
            await waiting.begin(ours)
            poller.notify_closing(ours)
            ours.close()
            again, theirs = socket.socketpair()
            with again, theirs:
                assert again.fileno() == number
                await trio.testing.wait_all_tasks_blocked()
                waiting.came.clear()
                await waiting.begin(again)
                assert waiting.came == {}
                theirs.send(b"x")
                await trio.testing.wait_all_tasks_blocked()
                assert waiting.came == {number: "readable"}

    async def test_a_socket_that_a_fork_keeps(self) -> None:
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, theirs)] = pairs
            await waiting.begin(ours)
            kept = os.dup(ours.fileno())
            try:
                poller.notify_closing(ours)
                ours.close()
                theirs.send(b"x")
                await trio.testing.wait_all_tasks_blocked()
                assert poller._times_asked == 0
            finally:
                os.close(kept)


class TestStrangers:
    """Who closes a descriptor that is not theirs."""

    async def test_between_two_waits(self) -> None:
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, theirs)] = pairs
            await waiting.begin(ours)
            theirs.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            number = ours.fileno()
            os.close(ours.detach())
            waiting.nursery.start_soon(waiting._wait, number)
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came == {number: "OSError"}
            assert not poller._known

    async def test_a_number_that_is_another_connections_now(self) -> None:
        """The former one was known, and never said goodbye."""
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, theirs)] = pairs
            await waiting.begin(ours)
            theirs.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            number = ours.fileno()
            os.close(ours.detach())
            again, to_again = socket.socketpair()
            with again, to_again:
                assert again.fileno() == number
                for _ in range(3):
                    waiting.came.clear()
                    await waiting.begin(again)
                    assert waiting.came == {}
                    to_again.send(b"x")
                    await trio.testing.wait_all_tasks_blocked()
                    assert waiting.came == {number: "readable"}
                    again.recv(1)

    async def test_two_who_wait_for_one_number(self) -> None:
        """The second is left to Trio, which says no word of the first."""
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, theirs)] = pairs
            await waiting.begin(ours, ours)
            assert len(poller._waiting) == 1
            theirs.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came == {ours.fileno(): "readable"}

    async def test_a_number_that_is_the_epolls_now(self) -> None:
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, _)] = pairs
            number = ours.fileno()
            os.close(ours.detach())
            waiting.nursery.start_soon(waiting._wait, number)
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came == {number: "OSError"}
            assert poller._epoll is None

    async def test_somebody_waits_for_a_number_that_is_the_epolls_now(self) -> None:
        """Who stands in the epoll looks again; a later trial makes another epoll."""
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, theirs)] = pairs
            assert poller._begin_trial()
            epoll = poller._epoll
            assert epoll is not None
            waiting.nursery.start_soon(waiting._wait, ours.fileno())
            with pytest.raises(trio.ClosedResourceError):
                # This task waits before the poller's has begun.
                await trio.lowlevel.wait_readable(epoll)
            await trio.testing.wait_all_tasks_blocked()
            assert epoll.closed
            await waiting.begin(ours)
            theirs.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came[ours.fileno()] == "readable"
            assert poller._begin_trial()

    async def test_it_is_given_up_while_something_has_come(self) -> None:
        """The poller's task is on its way, and finds that its epoll is closed."""
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, theirs)] = pairs
            await waiting.begin(ours)
            epoll = poller._epoll
            assert epoll is not None
            poller._give_up()
            poller._wake(epoll)
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came == {ours.fileno(): "ClosedResourceError"}
            await waiting.begin(ours)
            theirs.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came == {ours.fileno(): "readable"}


class TestTrials:
    async def test_it_begins_where_many_wait(self) -> None:
        async with shared(1, waits_to_trial=3) as (poller, pairs), waiters(poller) as waiting:
            [(ours, theirs)] = pairs
            theirs.send(b"x")
            for times in range(1, 4):
                assert not poller._pays
                await waiting.begin(ours)
                assert poller._times_asked == (times == 3)

    async def test_it_comes_less_often_where_there_are_more(self) -> None:
        """Each of them may wait in the epoll once for nothing."""
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            poller._how_many = lambda: 1000
            await waiting.begin(next(iter(pairs))[0])
            assert poller._pays
            assert poller._waits_to_trial == 1000 * WAITS_FOR_EACH

    async def test_few_connections_have_no_epoll(self) -> None:
        async with shared() as (poller, pairs), waiters(poller) as waiting:
            poller._how_many = lambda: FEWEST_AT_ONCE - 1
            [(ours, theirs)] = pairs
            await waiting.begin(ours)
            assert poller._epoll is None
            assert poller._waits_to_trial == WAITS_BETWEEN_TRIALS
            theirs.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came == {ours.fileno(): "readable"}

    @pytest.mark.parametrize("count", [FEWEST_AT_ONCE - 1, FEWEST_AT_ONCE])
    async def test_it_is_left_where_few_are_woken(self, count: int) -> None:
        async with shared(count + 1) as (poller, pairs), waiters(poller) as waiting:
            *active, (idle, to_idle) = pairs
            await waiting.begin(idle)
            for _ in range(TIMES_ASKED):
                await waiting.begin(*[ours for ours, _ in active])
                for _, theirs in active:
                    theirs.send(b"x")
                await trio.testing.wait_all_tasks_blocked()
                for ours, _ in active:
                    assert ours.recv(1) == b"x"
            assert poller._pays == (count == FEWEST_AT_ONCE)
            # Who waits there is woken all the same.
            to_idle.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            assert waiting.came[idle.fileno()] == "readable"
            epoll = poller._epoll
            assert poller._begin_trial()
            assert poller._epoll is epoll

    async def test_without_a_descriptor_for_the_epoll(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> Any:
            raise OSError(errno.EMFILE, "no descriptor is left")

        async with shared() as (poller, pairs), waiters(poller) as waiting:
            [(ours, theirs)] = pairs
            theirs.send(b"x")
            with monkeypatch.context() as none_left:
                none_left.setattr(select, "epoll", fail)
                await waiting.begin(ours)
            assert poller._epoll is None
            assert waiting.came == {ours.fileno(): "readable"}
            assert poller._begin_trial()

    async def test_the_system_allows_no_more(self) -> None:
        """As it refuses a file, for which there is nothing to wait."""
        async with shared() as (poller, _), waiters(poller) as waiting:
            async with await trio.open_file(__file__) as file:
                number = file.fileno()
                waiting.nursery.start_soon(waiting._wait, number)
                await trio.testing.wait_all_tasks_blocked()
                assert waiting.came == {number: "PermissionError"}
            assert poller._epoll is not None


@pytest.mark.no_cover
@pytest.mark.parametrize("draft", ["hixie-76", "rfc6455"])
async def test_a_server_with_many_by_default(
    draft: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Every message comes back, in order, before, in and behind a trial."""
    rounds = WAITS_BETWEEN_TRIALS // MANY + 2 * TIMES_ASKED
    served: list[Connection] = []

    async def echo(connection: Connection, state: object) -> None:
        served.append(connection)
        async for message in connection:
            await connection.send(message)

    async def talk(url: str, name: int) -> None:
        async with open_websocket(url, draft=draft) as client:
            for number in range(rounds):
                await client.send(f"{name} {number}")
                assert await client.receive() == f"{name} {number}"
            await trio.sleep(1)
            paying.add(served[0]._endpoint.scope._poller._pays)  # type: ignore[union-attr]

    paying: set[bool] = set()
    async with served_on_port(echo, draft=draft) as server, trio.open_nursery() as nursery:
        for name in range(MANY):
            nursery.start_soon(talk, server.url, name)
    assert paying == {True}
    assert not served[0]._endpoint.scope._poller._known  # type: ignore[union-attr]


@pytest.mark.usefixtures("always")
class TestConnections:
    @each_draft
    async def test_a_cancelled_receive_loses_nothing(self, draft: Draft) -> None:
        received: list[int] = []
        async with by_raw_client(draft) as (raw, server):
            for number in range(40):
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as nursery:

                        @nursery.start_soon
                        async def receive(number: int = number) -> None:
                            assert await server.receive() == str(number)
                            received.append(number)

                        await trio.testing.wait_all_tasks_blocked()
                        await raw.send_frame(str(number))
                        for _ in range(number % 4):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()
                if number not in received:
                    assert await server.receive() == str(number)
                    received.append(number)
        assert received == list(range(40))

    @in_turn("behind", [0, 1, 2, 3])
    @each_draft
    async def test_a_peer_that_goes(self, draft: Draft, behind: int) -> None:
        """Without a goodbye, that many passes behind a message."""
        async with by_raw_client(draft) as (raw, server), trio.open_nursery() as nursery:
            got: list[object] = []

            @nursery.start_soon
            async def receive() -> None:
                try:
                    got.append(await server.receive())
                    got.append(await server.receive())
                except (ConnectionLost, PeerClosed) as error:
                    got.append(type(error))

            await trio.testing.wait_all_tasks_blocked()
            assert server._receiver.direct is not None
            assert server._receiver.direct.fileno in server._endpoint.scope._poller._waiting  # type: ignore[union-attr]
            await raw.send_frame("hello")
            for _ in range(behind):
                await trio.lowlevel.checkpoint()
            await trio.aclose_forcefully(raw)
            await trio.testing.wait_all_tasks_blocked()
            assert got == ["hello", ConnectionLost if draft.closing_handshake else PeerClosed]

    @each_draft
    async def test_who_receives_is_told_of_our_close(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with by_raw_client(draft) as (_, server), trio.open_nursery() as nursery:

            @nursery.start_soon
            async def receive() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await server.receive()

            await trio.testing.wait_all_tasks_blocked()
            with trio.CancelScope() as scope:
                scope.cancel()
                await server.aclose()

    @each_draft
    async def test_a_ping_is_answered_where_somebody_receives(self, draft: Draft) -> None:
        if not draft.ping:
            return  # this draft has no pings
        async with by_raw_client(draft) as (raw, server), trio.open_nursery() as nursery:
            nursery.start_soon(server.wait_readable)
            await trio.testing.wait_all_tasks_blocked()
            await raw.send_frame(Ping(b"hello"))
            await raw.expect(frames(server, Pong(b"hello")))
            nursery.cancel_scope.cancel()

    @each_draft
    async def test_a_peer_that_says_nothing_is_given_up(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with by_raw_client(draft) as (_, server):
            began = trio.current_time()
            with pytest.raises(ConnectionLost):
                await server.receive()
            assert trio.current_time() - began <= 3600

    @pytest.mark.parametrize("size", [5, 300_000])
    async def test_over_tls(
        self, authority: Any, server_ssl: Any, client_ssl: Any, size: int
    ) -> None:
        async with served_on_port(draft="rfc6455", ssl_context=server_ssl) as server:
            factory = ssl_stream_factory(client_ssl, server_hostname="127.0.0.1")
            async with open_websocket(
                server.url.replace("ws:", "wss:"), draft="rfc6455", stream_factory=factory
            ) as client:
                for number in range(5):
                    await client.send(str(number) * size)
                    assert await client.receive() == str(number) * size


@attrs.define(eq=False)
class Alarm:
    id: int


class TestTimers:
    def test_one_that_was_forgotten_is_not_set_again(self) -> None:
        timers: Timers[Alarm] = Timers()
        alarm = Alarm(1)
        timers.add(alarm, 5)
        timers.discard(alarm)
        timers.set(alarm, 3)
        assert timers.next == float("inf")
        assert not timers.hasten(alarm, 1)

    def test_those_that_were_put_off_do_not_pile_up(self) -> None:
        timers: Timers[Alarm] = Timers()
        alarms = [Alarm(number) for number in range(10)]
        for alarm in alarms:
            timers.add(alarm, 1000)
        for moment in range(999, 0, -1):
            timers.hasten(alarms[moment % 10], moment)
        assert len(timers._heap) <= FEW + 1
        assert [alarm.id for alarm in timers.due(10)] == [*range(1, 10), 0]


class TestWatch:
    async def test_what_cannot_be_watched_is_told(self) -> None:
        async with trio.open_nursery() as nursery:
            watch: Watch[str] = Watch(nursery, lambda name, flags: None)
            assert watch.start()
            ours, theirs = socket.socketpair()
            with theirs:
                fileno = ours.fileno()
                assert watch.arm(fileno, "ours", READABLE)
                assert watch.arm(fileno, "ours", READABLE)
                ours.close()
                assert not watch.arm(fileno, "another", READABLE)
                # Also where nobody noticed that it was closed
                watch.discard(fileno)
            ours, theirs = socket.socketpair()
            with theirs:
                fileno = ours.fileno()
                assert watch.arm(fileno, "ours", READABLE)
                ours.close()
                watch.discard(fileno)
            nursery.cancel_scope.cancel()

    async def test_one_that_is_disarmed_by_another_event_hears_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As if each took longer than that
        monkeypatch.setattr(watch_module, "SECONDS_PER_PASS", -1)
        pairs = [socket.socketpair() for _ in range(2)]
        heard: list[int] = []
        async with trio.open_nursery() as nursery:

            def attend(number: int, flags: int) -> None:
                heard.append(number)
                watch.discard(pairs[1 - number][0].fileno())

            watch: Watch[int] = Watch(nursery, attend)
            assert watch.start()
            for number, (ours, theirs) in enumerate(pairs):
                assert watch.arm(ours.fileno(), number, READABLE)
                theirs.send(b"x")
            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()
        assert len(heard) == 1
        for pair in pairs:
            for end in pair:
                end.close()


async def test_turns_that_take_long_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over as many passes of the scheduler as there are connections; nobody is left out."""
    monkeypatch.setattr(
        "trio_draftws._connection.looks.perf_counter", itertools.count(0, 0.01).__next__
    )

    async def sleep(connection: Connection, state: object) -> None:
        await trio.sleep_forever()

    async with serving(sleep) as server:
        streams = [await dial(server) for _ in range(5)]
        for stream in streams:
            await stream.send_all(PLAIN)
        for stream in streams:
            await read_until(stream, lambda said: said.endswith(b"\r\n\r\n"))
        for stream in streams:
            await stream.send_all(masked(0x89, b"hello"))
        for stream in streams:
            await read_until(stream, lambda said: said == b"\x8a\x05hello")
            await stream.aclose()


async def test_an_event_of_a_connection_that_has_just_ended() -> None:
    """It is given up, and its transport ends in the next pass; in this one the watch wakes up."""
    heard: list[BaseException] = []

    async def handler(server: Connection, state: object) -> None:
        endpoint = server._endpoint
        endpoint.receiver.note_look()
        endpoint.give_up("too slow", Close(1008))
        assert endpoint.receiver.owner is Owner.NOBODY
        endpoint.scope.looks._attend(endpoint, READABLE)
        assert not endpoint.receiver.hung_up
        try:
            await server.receive()
        except ConnectionLost as error:
            heard.append(error)

    async with serving(handler) as server:
        stream = await dial(server)
        await stream.send_all(PLAIN)
        await read_until(stream, lambda said: said.endswith(b"\x88\x02\x03\xf0"))
        await stream.aclose()
    assert [str(error) for error in heard] == ["too slow"]
