"""An echo server with a span of OpenTelemetry for each connection.

    python examples/tracing.py [--port PORT]

It needs opentelemetry-sdk, and prints each span when it ends.
"""

import argparse
import signal
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import trio
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
)
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_NAME
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_SCHEME
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL

from trio_draftws import Connection, Instrument, Server, serve_websocket


class Tracing(Instrument):
    """A span for each connection, which is the current one in its handler.

    On a server it continues the trace that the request's `traceparent` names.
    """

    def __init__(self, tracer: trace.Tracer) -> None:
        self.tracer = tracer
        self.spans = WeakKeyDictionary[Connection, trace.Span]()

    def connection_opened(self, connection: Connection) -> None:
        url = urlsplit(connection.url)
        # Without the query, which may contain a token
        attributes: dict[str, str | int] = {
            HTTP_REQUEST_METHOD: "GET",
            HTTP_RESPONSE_STATUS_CODE: 101,
            NETWORK_PROTOCOL_NAME: "websocket",
            SERVER_ADDRESS: url.hostname or "",
            URL_PATH: url.path,
            URL_SCHEME: url.scheme,
            "websocket.draft": connection.draft.name,
        }
        context, kind = None, trace.SpanKind.CLIENT
        if connection.role == "server":
            context = propagate.extract(connection.headers)
            kind = trace.SpanKind.SERVER
            attributes[USER_AGENT_ORIGINAL] = connection.headers.get("User-Agent", "")
        # A name has no path: there may be any number of those.
        self.spans[connection] = self.tracer.start_span(
            "GET", context=context, kind=kind, attributes=attributes
        )

    @contextmanager
    def around_handler(self, connection: Connection) -> Generator[None, None, None]:
        span = self.spans[connection]
        with trace.use_span(
            span, record_exception=False, set_status_on_exception=False
        ):
            try:
                yield
            except (trio.EndOfChannel, trio.BrokenResourceError):
                raise  # The client has gone, which is nobody's mistake.
            except Exception as error:
                span.record_exception(error)
                span.set_attribute(ERROR_TYPE, type(error).__qualname__)
                span.set_status(trace.StatusCode.ERROR)
                raise

    def connection_closed(self, connection: Connection) -> None:
        span = self.spans[connection]
        for name, close in (
            ("close sent", connection.close_sent),
            ("close received", connection.close_received),
        ):
            if close is not None:
                code = (
                    {} if close.code is None else {"websocket.close_code": close.code}
                )
                span.add_event(name, {**code, "websocket.close_reason": close.reason})
        span.set_attribute("websocket.closed_by", connection.closed_by or "nobody")
        span.end()


async def echo(connection: Connection, state: None) -> None:
    tracer = trace.get_tracer(__name__)
    async for message in connection:
        # A child of the connection's span
        with tracer.start_as_current_span("echo"):
            await connection.send(message)


async def main(port: int) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)
    instruments = [Tracing(trace.get_tracer(__name__))]
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, echo, port, host="127.0.0.1")
            server: Server = await nursery.start(
                partial(serve, instruments=instruments)
            )
            print(f"listening on ws://127.0.0.1:{server.port}/", flush=True)
            await anext(signals)
            await server.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    trio.run(main, parser.parse_args().port)
