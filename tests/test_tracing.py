"""`examples/tracing.py`: spans of OpenTelemetry, as its SDK has them in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from examples.tracing import Tracing
from trio_draftws import Connection, PeerClosed, open_websocket
from trio_draftws.testing import Faults, FaultyStream, echo, served

from .rows import each_row
from .test_examples import running

if TYPE_CHECKING:
    from collections.abc import Sequence


class Traced:
    """A tracer, and the spans that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("tests")

    @property
    def ended(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()


def events(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, dict(event.attributes or {})) for event in span.events]


async def test_a_span_for_each_connection() -> None:
    """It continues the client's trace, is current in the handler, and has the closes."""
    traced = Traced()

    async def handler(connection: Connection, state: object) -> None:
        with traced.tracer.start_as_current_span("work"):
            await connection.send(str(await connection.receive()))
        await connection.receive()

    async with served(handler, instruments=[Tracing(traced.tracer)]) as server:
        headers: dict[str, str] = {"User-Agent": "test/1"}
        with traced.tracer.start_as_current_span("outside") as outside:
            propagate.inject(headers)
            assert "traceparent" in headers
            async with server.open_websocket("/chat?token=secret", headers=headers) as client:
                await client.send("hello")
                await client.receive()
                await client.aclose(4000, "enough")
    by_name = {span.name: span for span in traced.ended}
    assert by_name.keys() == {"outside", "work", "GET"}
    span, work = by_name["GET"], by_name["work"]
    assert span.kind is trace.SpanKind.SERVER
    assert span.context is not None
    assert span.parent is not None
    assert span.parent.span_id == outside.get_span_context().span_id
    assert span.context.trace_id == outside.get_span_context().trace_id
    assert work.parent is not None
    assert work.parent.span_id == span.context.span_id
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 101,
        "network.protocol.name": "websocket",
        "server.address": "localhost",
        "url.path": "/chat",
        "url.scheme": "ws",
        "user_agent.original": "test/1",
        "websocket.closed_by": "client",
        "websocket.draft": "rfc6455",
    }
    closed = {"websocket.close_code": 4000, "websocket.close_reason": "enough"}
    assert dict(events(span))["close received"] == closed
    assert dict(events(span))["close sent"]["websocket.close_code"] == 4000
    assert span.status.is_unset


async def test_a_handler_that_fails() -> None:
    traced = Traced()

    async def handler(connection: Connection, state: object) -> None:
        raise LookupError("a mistake")

    async with served(handler, instruments=[Tracing(traced.tracer)]) as server:
        async with server.open_websocket() as client:
            with pytest.raises(PeerClosed):
                await client.receive()
    [span] = traced.ended
    assert span.parent is None
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "LookupError"
    told = events(span)
    assert told[0][0] == "exception"
    assert told[0][1]["exception.message"] == "a mistake"
    assert ("close sent", {"websocket.close_code": 1011, "websocket.close_reason": ""}) in told


async def test_a_client_that_is_lost() -> None:
    """That is no error of the handler, and there is no close."""
    traced = Traced()

    async def cut(stream: trio.abc.Stream) -> trio.abc.Stream:
        return FaultyStream(stream, incoming=Faults(reset_at=1000))

    async with served(echo, instruments=[Tracing(traced.tracer)], stream_factory=cut) as server:
        async with server.open_websocket(compression=None) as client:
            await client.send("x" * 2000)
            with pytest.raises(trio.BrokenResourceError):
                await client.receive()
    [span] = traced.ended
    assert events(span) == []
    assert span.status.is_unset


@each_row("draft", ["hixie-75", "old", "hybi-05"])
async def test_old_drafts_and_clients(draft: str) -> None:
    """A client has spans, too, of its own kind; drafts without codes have none."""
    traced = Traced()
    instruments = [Tracing(traced.tracer)]
    async with served(echo, instruments=instruments) as server:
        async with open_websocket(
            server.url, stream=await server.dial(), draft=draft, instruments=instruments
        ) as client:
            await client.send("hello")
            assert await client.receive() == "hello"
    assert {span.kind for span in traced.ended} == {trace.SpanKind.SERVER, trace.SpanKind.CLIENT}
    for span in traced.ended:
        assert span.attributes is not None
        assert span.attributes["websocket.closed_by"] == "client"
        for _, attributes in events(span):
            assert "websocket.close_code" not in attributes


async def test_the_example_prints_spans() -> None:
    async with running("tracing.py") as (url, lines):
        async with open_websocket(url, draft="rfc6455") as client:
            await client.send("hello")
            assert await client.receive() == "hello"
    printed = "\n".join(lines)
    assert printed.index('"name": "echo"') < printed.index('"name": "GET"')
    assert '"websocket.closed_by": "client"' in printed
