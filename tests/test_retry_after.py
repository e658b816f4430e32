"""`Retry-After`: as seconds and as a date, in each of its forms (RFC 9110 section 10.2.3)."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
import trio
import trio.testing

from trio_draftws import Reject

from .rows import each_row
from .test_reconnecting import attempts_at, guarded, open_one
from .test_reconnecting import clock as clock
from .wire import raw_server, read_request

NOW = "Sun, 06 Nov 1994 08:49:37 GMT"


async def wait_asked_for(fields: list[tuple[str, str]], status: int = 503) -> float:
    """How long a client waits that would wait for a second, and for a minute at most."""
    async with guarded(Reject(status, fields)) as keeper:
        first, second = await attempts_at(keeper, initial_backoff=1, max_backoff=60)
    return second - first


@each_row(
    "value, wait",
    [
        ("30", 30),
        ("000000030", 30),
        ("0" * 100 + "30", 30),
        ("60", 60),
        ("61", 60),
        ("99999999", 60),
        ("100000000", 60),
        ("9" * 400, 60),
        ("9" * 5000, 60),
        ("0", 1),
        ("", 1),
        *((value, 1) for value in ("-30", "+30", "30.5", "3e1", "0x30", "30 s", "\xb2", "soon")),
    ],
)
async def test_seconds(value: str, wait: float, clock: trio.testing.MockClock) -> None:
    """Any number of digits; more than `max_backoff` is `max_backoff`."""
    assert await wait_asked_for([("Retry-After", value)]) == pytest.approx(wait, abs=0.1)


@each_row(
    "value, wait",
    [
        # RFC 9110 section 5.6.7: the form of today, and the two of before
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30),
        ("Sun Nov  6 08:50:07 1994", 30),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sun, 06 Nov 1994 08:50:38 GMT", 60),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 1),
        ("Sun, 06 Nov 1994 08:49:07 GMT", 1),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1),
        # No dates
        *(
            (value, 1)
            for value in (
                "Sun, 06 Nov 1994",
                "Sun, 06 Now 1994 08:50:07 GMT",
                "Sun, 99 Nov 99999 08:50:07 GMT",
                "Sun, 06 Nov 99999999999999999999 08:50:07 GMT",
                "1994-11-06T08:50:07Z",
                ",",
            )
        ),
    ],
)
async def test_a_date(value: str, wait: float, clock: trio.testing.MockClock) -> None:
    """It is counted from the server's own time, which may be another than ours."""
    fields = [("Retry-After", value), ("Date", NOW)]
    assert await wait_asked_for(fields) == pytest.approx(wait, abs=0.1)


async def test_a_date_without_the_servers_time(clock: trio.testing.MockClock) -> None:
    """Then it is counted from ours."""
    asked: list[float] = []

    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        asked.append(trio.current_time())
        values = [formatdate(time.time() + 30, usegmt=True), "Sun, 06 Nov 1994 08:49:37 GMT"]
        if len(asked) <= len(values):
            value = values[len(asked) - 1].encode()
            head = b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\nRetry-After: %b\r\n\r\n" % value
            await stream.send_all(head)
        else:
            await stream.send_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(behave) as port:
        with pytest.raises(Exception, match="404"):
            await open_one(f"ws://127.0.0.1:{port}/", initial_backoff=1)
    # A date has whole seconds.
    assert 28.5 < asked[1] - asked[0] <= 30.1
    assert asked[2] - asked[1] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_whatever_means_later(status: int, clock: trio.testing.MockClock) -> None:
    assert await wait_asked_for([("Retry-After", "30")], status) == pytest.approx(30, abs=0.1)


async def test_several(clock: trio.testing.MockClock) -> None:
    """A proxy may have added its own; the longest counts."""
    values = ["5", "soon", "Sun, 06 Nov 1994 08:50:07 GMT", "20"]
    fields = [("Date", NOW), *(("Retry-After", value) for value in values)]
    assert await wait_asked_for(fields) == pytest.approx(30, abs=0.1)
